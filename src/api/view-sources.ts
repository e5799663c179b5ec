/** Where a container's view gets what the container's own record does not say. */

import type { Execs } from "../container/exec.ts";
import { linkNames, linksView } from "../container/legacy-links.ts";
import type { ContainerLogs } from "../container/logs.ts";
import type { Records } from "../container/records.ts";
import type { Images } from "../image/images.ts";
import type { Networks } from "../network/networks.ts";
import type { Snapshotter } from "../store/snapshot.ts";
import type { Volumes } from "../volume/volumes.ts";
import type { ViewContext } from "./container-view.ts";

export interface ViewSources {
  readonly records: Records;
  readonly networks: Pick<Networks, "find">;
  readonly execs: Pick<Execs, "of">;
  readonly logs: Pick<ContainerLogs, "publicPath">;
  readonly volumes: Pick<Volumes, "find" | "path">;
  readonly images: Pick<Images, "sizeOf" | "descendants">;
  readonly snapshotter: Pick<Snapshotter, "name" | "usage">;
  readonly canDisableOomKill: boolean;
}

export const viewContext = (sources: ViewSources): ViewContext => {
  const { records, networks, execs, logs, volumes, images, snapshotter, canDisableOomKill } = sources;
  return {
    findNetwork: (reference) => networks.find(reference),
    links: (container) => linksView(container, records),
    linkNames: () => linkNames(records),
    folder: (id) => records.folder(id),
    logPath: (container) => logs.publicPath(container),
    execIds: (id) => execs.of(id),
    storageDriver: snapshotter.name,
    canDisableOomKill,
    volumePath: (name) => {
      const volume = volumes.find(name);
      return volume ? volumes.path(volume) : "";
    },
    usage: (id) => snapshotter.usage(id),
    imageSize: (id) => images.sizeOf(id),
    descendants: (ancestor) => images.descendants(ancestor),
  };
};
