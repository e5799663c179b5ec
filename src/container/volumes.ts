/** A container's volumes, from its creation to its removal: who names them, what of the image goes into them, and where they are mounted. */

import { posix } from "node:path";
import { invalid, kindOf, messageOf } from "../base/errors.ts";
import type { Volumes } from "../volume/volumes.ts";
import type { Bind, ContainerConfig, HostConfig } from "./config.ts";
import { type Inherited, inherited, lastOf, type MountedVolume, parseVolumesFrom, type VolumeMount } from "./mounts.ts";
import type { Container, Records } from "./records.ts";
import { isLive } from "./state.ts";

export interface ContainerVolumesOptions {
  readonly volumes: Volumes;
  readonly records: Records;
  /** Puts what a container's snapshot has at `path` into an empty directory, with its owners and modes. */
  readonly copyUp: (containerId: string, path: string, directory: string) => Promise<void>;
}

const namesOf = ({ volumes = [] }: Container): readonly string[] => volumes.map(({ name }) => name);

const attributesOf = ({ target, readonly }: MountedVolume): Readonly<Record<string, string>> => ({
  destination: target,
  "read/write": String(!readonly),
  propagation: "",
});

export class ContainerVolumes {
  readonly #options: ContainerVolumesOptions;

  constructor(options: ContainerVolumesOptions) {
    this.#options = options;
  }

  /**
   * Makes the volumes of a container that is being created, where they are missing, and it a user of all of them.
   * @returns all that it mounts: its own, what the image declares, and what it inherits. @throws notFound, invalid, conflict
   */
  async create(id: string, config: ContainerConfig, host: HostConfig): Promise<Inherited> {
    const from = host.volumesFrom.map((spec) => this.#inherit(spec));
    const own = new Set(
      [...host.binds, ...host.volumes, ...host.images, ...targetsOf(host.tmpfs)].map(({ target }) => target),
    );
    const isFree = ({ target }: { readonly target: string }) => !own.has(target);
    const binds = lastOf([...from.flatMap((one) => one.binds).filter(isFree), ...host.binds]);
    const taken = lastOf(from.flatMap((one) => one.volumes).filter(isFree));
    const targets = new Set([...own, ...[...binds, ...taken].map(({ target }) => target)]);
    const declared = [...new Set(config.volumes.map((path) => posix.resolve("/", path)))]
      .filter((target) => target !== "/" && !targets.has(target))
      .map(anonymous(host.volumeDriver));
    const volumes: MountedVolume[] = [];
    for (const mount of [...taken, ...host.volumes, ...declared]) volumes.push(await this.#use(id, mount));
    return { binds, volumes };
  }

  #inherit(spec: string): Inherited {
    const { container, readonly } = parseVolumesFrom(spec);
    const { host, volumes = [] } = this.#owner(container);
    return inherited({ binds: host.binds, volumes }, readonly);
  }

  #owner(reference: string): Container {
    try {
      return this.#options.records.get(reference);
    } catch (error) {
      return asInvalid(error);
    }
  }

  async #use(id: string, mount: VolumeMount): Promise<MountedVolume> {
    const { name, driver, options, labels } = mount;
    const asked = { name, driver, options, labels, pendingFor: id };
    const volume = await this.#options.volumes.use(asked, id).catch(asInvalid);
    return { ...mount, name: volume.name, driver: volume.driver };
  }

  /** Empty volumes get what the container's snapshot has at their place. */
  async fill({ id, volumes = [] }: Container): Promise<void> {
    for (const { name, target, copy } of volumes)
      if (copy) await this.#options.volumes.fill(name, (directory) => this.#options.copyUp(id, target, directory));
  }

  /** The container is on record. */
  settle(id: string): void {
    this.#options.volumes.settle(id);
  }

  /** @param remove  whether anonymous ones go that nobody else uses */
  release(id: string, remove: boolean): Promise<void> {
    return this.#options.volumes.release(id, remove);
  }

  /** Mounts them for a container that is about to run, or is looked into, until `unmount`. @throws notFound, invalid */
  async mount({ id, volumes = [] }: Container): Promise<readonly Bind[]> {
    const binds: Bind[] = [];
    for (const volume of volumes) {
      const { name, target, readonly, subpath } = volume;
      const source = await this.#options.volumes.mount(name, id, attributesOf(volume));
      const rest = { propagation: "rprivate", createSource: false, nonRecursive: false } as const;
      binds.push({ source, target, readonly, ...rest, ...(subpath !== "" && { below: subpath }) });
    }
    return binds;
  }

  /** Idempotent. */
  unmount(id: string): Promise<void> {
    return this.#options.volumes.unmount(id);
  }

  /** At start, of every container on record, and then `sweep`. */
  restore(container: Container): void {
    const isMounted = isLive(container.state) || container.starting !== undefined;
    this.#options.volumes.restore(container.id, namesOf(container), isMounted);
  }

  sweep(): Promise<void> {
    return this.#options.volumes.sweep();
  }
}

/** Of a missing image alone clients may be told that something is not found: they pull it then. */
function asInvalid(error: unknown): never {
  throw kindOf(error) === "notFound" ? invalid(messageOf(error), { cause: error }) : error;
}

const targetsOf = (tmpfs: HostConfig["tmpfs"]) => Object.keys(tmpfs).map((target) => ({ target }));

const anonymous =
  (driver: string) =>
  (target: string): VolumeMount => ({
    name: undefined,
    target,
    readonly: false,
    copy: true,
    subpath: "",
    driver,
    options: {},
    labels: {},
    mode: "",
  });
