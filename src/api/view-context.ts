/** What views of containers show that is not in their own records, and where it comes from. */

import type { Execs } from "../container/exec.ts";
import { linkNames, linksView } from "../container/legacy-links.ts";
import type { ContainerLogs } from "../container/logs.ts";
import type { Container, Records } from "../container/records.ts";
import type { SecurityDefaults } from "../container/security.ts";
import type { Images } from "../image/images.ts";
import type { Networks } from "../network/networks.ts";
import type { Snapshotter } from "../store/snapshot.ts";
import type { Volumes } from "../volume/volumes.ts";
import type { FindNetwork } from "./network-view.ts";

/** What the projections need from elsewhere. */
export interface ViewContext {
  readonly findNetwork: FindNetwork;
  /** By which others know it, as inspect shows them: `/db:/web/alias`. */
  readonly links: (container: Container) => readonly string[];
  /** Further names of containers, by id: `/web/alias`. */
  readonly linkNames: () => ReadonlyMap<string, readonly string[]>;
  /** Files of a container under the data root. */
  readonly folder: (id: string) => string;
  readonly logPath: (container: Container) => string;
  readonly execIds: (id: string) => readonly string[];
  readonly storageDriver: string;
  /** Whether the host's cgroups can; else inspect has nothing to say of it. */
  readonly canDisableOomKill: boolean;
  readonly security: SecurityDefaults;
  /** Where a volume's files are on the host; empty for one that is gone. */
  readonly volumePath: (name: string) => string;
  readonly usage: (id: string) => Promise<{ readonly bytes: number }>;
  /** Bytes of an image's layers; 0 for one that is gone. */
  readonly imageSize: (imageId: string) => number;
  /** Ids of the named image and of all that build on it; none for a name that is unknown. */
  readonly descendants: (ancestor: string) => ReadonlySet<string>;
}

export interface ViewSources {
  readonly records: Records;
  readonly networks: Pick<Networks, "find">;
  readonly execs: Pick<Execs, "of">;
  readonly logs: Pick<ContainerLogs, "publicPath">;
  readonly volumes: Pick<Volumes, "find" | "path">;
  readonly images: Pick<Images, "sizeOf" | "descendants">;
  readonly snapshotter: Pick<Snapshotter, "name" | "usage">;
  readonly canDisableOomKill: boolean;
  readonly security: SecurityDefaults;
}

export const viewContext = (sources: ViewSources): ViewContext => {
  const { records, networks, execs, logs, volumes, images, snapshotter, canDisableOomKill, security } = sources;
  return {
    findNetwork: (reference) => networks.find(reference),
    links: (container) => linksView(container, records),
    linkNames: () => linkNames(records),
    folder: (id) => records.folder(id),
    logPath: (container) => logs.publicPath(container),
    execIds: (id) => execs.of(id),
    storageDriver: snapshotter.name,
    canDisableOomKill,
    security,
    volumePath: (name) => {
      const volume = volumes.find(name);
      return volume ? volumes.path(volume) : "";
    },
    usage: (id) => snapshotter.usage(id),
    imageSize: (id) => images.sizeOf(id),
    descendants: (ancestor) => images.descendants(ancestor),
  };
};
