/** Containers as they are remembered: in memory for reading, a row each in the database, and the two files that Docker's users know. */

import { existsSync } from "node:fs";
import { mkdir, readdir, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Digest } from "../base/digest.ts";
import { conflict, ifMissing, invalid, notFound, toldOf } from "../base/errors.ts";
import { together } from "../base/together.ts";
import { type Attachment, plainAttachment } from "../network/attachment.ts";
import { BARE, type Endpoint } from "../network/driver.ts";
import type { Publication } from "../network/published-ports.ts";
import type { Database, Migration } from "../store/database.ts";
import type { ContainerConfig, HostConfig } from "./config.ts";
import type { Health } from "./health.ts";
import type { ImageMount } from "./image-mounts.ts";
import type { MountedVolume } from "./mounts.ts";
import { UNLIMITED } from "./resources.ts";
import { NO_RESTART } from "./restart.ts";
import type { State } from "./state.ts";

export const containerMigrations: readonly Migration[] = [
  {
    name: "container-1",
    sql: `CREATE TABLE containers (id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, image TEXT NOT NULL,
      record TEXT NOT NULL) STRICT`,
  },
];

export interface Container {
  readonly id: string;
  /** Without a slash. */
  readonly name: string;
  /** ISO 8601. */
  readonly created: string;
  readonly imageId: Digest;
  readonly config: ContainerConfig;
  /** Its binds are all that it has, those of `--volumes-from` among them. */
  readonly host: HostConfig;
  /** All that it has. */
  readonly volumes?: readonly MountedVolume[];
  /** All that it has. */
  readonly imageMounts?: readonly ImageMount[];
  /** Anonymous volumes go with it: written before a removal begins, for a daemon that dies over it. */
  readonly takesVolumes?: true;
  readonly state: State;
  /** Starts by its policy since somebody started it. */
  readonly restartCount: number;
  /** Of one that has a health check, since its first start. */
  readonly health?: Health;
  /** Somebody has ended it by hand, and nobody started it since. */
  readonly stopped?: true;
  /** The run of the kernel in which it was started last; see base/boot.ts. */
  readonly boot?: string;
  /** The networks that it is to be in whenever it runs. */
  readonly networks: readonly Attachment[];
  /** Its places in them while it runs, or is about to. */
  readonly endpoints: readonly Endpoint[];
  /** What of its ports is on the host, while it runs. */
  readonly publication?: Publication | undefined;
  /** An interface that it is getting or losing while it runs: should the daemon die over it, the next one takes it away. */
  readonly leaving?: Endpoint | undefined;
  /**
   * ISO 8601, while its process stands ready: written before it is let go, so that a daemon that dies then leaves word of a program that may
   * run already.
   */
  readonly starting?: string;
}

/** What a container has in networks when it does not run. */
export const NOWHERE = { endpoints: [], publication: undefined, leaving: undefined } as const;

interface Row {
  readonly id: string;
  readonly name: string;
  readonly record: string;
}

const NAME = /^[a-zA-Z0-9][a-zA-Z0-9_.-]+$/;

/** @throws invalid */
export function checkName(name: string, action = ""): string {
  const bare = name.replace(/^\//, "");
  if (!NAME.test(bare))
    throw invalid(`${action}Invalid container name (${name}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed`);
  return bare;
}

/** What records did not have from the first. */
const YOUNGER_PARTS = {
  restart: NO_RESTART,
  volumes: [],
  volumesFrom: [],
  volumeDriver: "",
  deviceCgroupRules: [],
  deviceRequests: [],
  images: [],
  cgroupParent: "",
  usernsMode: "",
  links: [],
  portBindings: [],
  publishAll: false,
} as const;

/** Of the time when a container had one network at most. */
interface Older {
  readonly endpoint?: Endpoint;
  readonly networks?: readonly Attachment[];
  readonly endpoints?: readonly Endpoint[];
  readonly host: { readonly networkMode: string; readonly namespaces: { readonly network: string } };
}

function networksOf({ endpoint, networks, endpoints, host }: Older): Pick<Container, "networks" | "endpoints"> {
  return {
    networks: networks ?? [plainAttachment(host.networkMode)],
    endpoints:
      endpoints ?? (endpoint ? [{ ...BARE, ...endpoint, interface: endpoint.address === "" ? "" : "eth0" }] : []),
  };
}

const OLDER_NAMESPACES: Readonly<Record<string, HostConfig["namespaces"]["network"]>> = { none: "own", bridge: "own" };

export class Records {
  readonly #byId = new Map<string, Container>();
  readonly #byName = new Map<string, string>();

  /** @param root  holds a folder for each container */
  constructor(
    readonly database: Database,
    readonly root: string,
  ) {
    for (const row of database.all<Row>("SELECT id, name, record FROM containers")) {
      const container: Container = JSON.parse(row.record); // written by this file only
      const { network } = container.host.namespaces;
      const namespaces = { ...container.host.namespaces, network: OLDER_NAMESPACES[network] ?? network };
      const resources = { ...UNLIMITED, ...container.host.resources };
      const host = { ...YOUNGER_PARTS, ...container.host, namespaces, resources };
      this.#remember({ ...container, ...networksOf(container), host, id: row.id, name: row.name });
    }
  }

  #remember(container: Container): void {
    const before = this.#byId.get(container.id);
    if (before) this.#byName.delete(before.name);
    this.#byId.set(container.id, container);
    this.#byName.set(container.name, container.id);
  }

  all(): readonly Container[] {
    return [...this.#byId.values()];
  }

  find(id: string): Container | undefined {
    return this.#byId.get(id);
  }

  /** @param reference  id, name (with or without a slash) or unique beginning of an id. @throws notFound, invalid */
  get(reference: string): Container {
    const id = this.#byId.has(reference) ? reference : this.#byName.get(reference.replace(/^\//, ""));
    const exact = id === undefined ? undefined : this.#byId.get(id);
    if (exact) return exact;
    const matches = reference === "" ? [] : this.all().filter((container) => container.id.startsWith(reference));
    if (matches.length > 1) throw invalid(`multiple IDs found with provided prefix: ${reference}`);
    const [found] = matches;
    if (!found) throw notFound(`No such container: ${reference}`);
    return found;
  }

  isTaken(name: string): boolean {
    return this.#byName.has(name);
  }

  /** @param why  begins the message. @throws conflict in the words that clients match */
  checkFree(name: string, why = ""): void {
    const owner = this.#byName.get(name);
    if (owner !== undefined)
      throw conflict(
        `${why}Conflict. The container name "/${name}" is already in use by container "${owner}". You have to remove (or rename) that container to be able to reuse that name.`,
      );
  }

  folder(id: string): string {
    return join(this.root, id);
  }

  /** The one way to change a container: the database first, then memory. */
  save(container: Container): Container {
    this.database.run(
      `INSERT INTO containers (id, name, image, record) VALUES (?1, ?2, ?3, ?4)
       ON CONFLICT (id) DO UPDATE SET name = ?2, image = ?3, record = ?4`,
      container.id,
      container.name,
      container.imageId,
      JSON.stringify(container),
    );
    this.#remember(container);
    return container;
  }

  /**
   * For what has happened already, whether it can be written (a full disk) or not: memory follows in any case.
   * @returns what kept it from being written
   */
  settle(container: Container): Error | undefined {
    try {
      this.save(container);
      return undefined;
    } catch (error) {
      this.#remember(container);
      return error instanceof Error ? error : new Error(String(error));
    }
  }

  /** For people and tools that look into the data root. @param documents  file name → content */
  async writeFiles(id: string, documents: Readonly<Record<string, unknown>>): Promise<void> {
    const folder = this.folder(id);
    await mkdir(folder, { recursive: true, mode: 0o710 });
    await together(
      ...Object.entries(documents).map(async ([name, document]) => {
        const unfinished = join(folder, `new-${name}`);
        await writeFile(unfinished, `${JSON.stringify(document)}\n`, { mode: 0o600 }).catch((error) => {
          throw toldOf(unfinished, error);
        });
        await rename(unfinished, join(folder, name));
      }),
    );
  }

  /** The row first: a folder without a row is a leftover, which `sweep` removes. */
  async remove(id: string): Promise<void> {
    const container = this.#byId.get(id);
    this.database.run("DELETE FROM containers WHERE id = ?", id);
    this.#byId.delete(id);
    if (container) this.#byName.delete(container.name);
    await rm(this.folder(id), { recursive: true, force: true }); // by another thread: a disk that writes much makes it wait
  }

  /** Names of all folders. */
  async folders(): Promise<readonly string[]> {
    return readdir(this.root).catch(ifMissing([]));
  }

  /** Folders that no container owns, from a creation or removal that a crash cut short, and unfinished files in others. Called once, at start. */
  async sweep(): Promise<void> {
    if (!existsSync(this.root)) return;
    for await (const name of new Bun.Glob("*").scan({ cwd: this.root, onlyFiles: false }))
      if (!this.#byId.has(name)) await rm(join(this.root, name), { recursive: true, force: true });
    for await (const name of new Bun.Glob("*/new-*").scan({ cwd: this.root })) await rm(join(this.root, name));
  }
}
