/**
 * The volumes that there are, and who uses them. A volume is *in use* while a container names it, running or not, and *mounted* while one of
 * those runs; the first is told by whoever keeps containers, at start as well, and neither is on disk here.
 */

import { conflict, invalid, messageOf, notFound } from "../base/errors.ts";
import { newId } from "../base/ids.ts";
import { Locks } from "../base/lock.ts";
import type { Database } from "../store/database.ts";
import type { VolumeDriver, VolumeFacts, VolumeOptions } from "./driver.ts";
import type { VolumeDrivers } from "./drivers.ts";
import { type Volume, VolumeRecords } from "./records.ts";
import { Users } from "./users.ts";

export interface NewVolume {
  /** Undefined for one that nobody named. */
  readonly name: string | undefined;
  /** Empty for the default. */
  readonly driver: string;
  readonly options: VolumeOptions;
  readonly labels: Readonly<Record<string, string>>;
  /** The container that is being made with it: unless `settle` is told of it, the next start removes an anonymous volume. */
  readonly pendingFor?: string;
}

export interface VolumesOptions {
  /** For `VolumeRecords`, whose migrations it has. */
  readonly database: Database;
  readonly drivers: VolumeDrivers;
  readonly emit: (action: string, name: string, attributes: Readonly<Record<string, string>>) => void;
}

/** Docker's mark of a volume that nobody named. */
export const ANONYMOUS = "com.docker.volume.anonymous";
const DEFAULT_DRIVER = "local";

/** How long a plugin is waited for that may have nothing to do with it. */
const PATIENCE_MS = 2000;

const NAME = /^[a-zA-Z0-9][a-zA-Z0-9_.-]+$/;
/** What ext4 and others have room for. */
const LONGEST_NAME = 255;

/** @throws invalid in Docker's words */
export function checkVolumeName(name: string): void {
  if (name.length === 1)
    throw invalid(`create ${name}: volume name is too short, names should be at least two alphanumeric characters`);
  if (!NAME.test(name) || name.length > LONGEST_NAME)
    throw invalid(
      `create ${name}: "${name}" includes invalid characters for a local volume name, only "[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed. If you intended to pass a host directory, use absolute path`,
    );
}

export class Volumes {
  readonly #options: VolumesOptions;
  readonly #records: VolumeRecords;
  readonly #locks = new Locks();
  readonly #users = new Users();
  readonly #mounted = new Users();

  constructor(options: VolumesOptions) {
    this.#options = options;
    this.#records = new VolumeRecords(options.database);
  }

  list(): readonly Volume[] {
    return this.#records.all();
  }

  /** With those that plugins have and nobody has used here. A plugin that does not answer is among the warnings. */
  async listAll(): Promise<{ readonly volumes: readonly Volume[]; readonly warnings: readonly string[] }> {
    const warnings: string[] = [];
    const plugins = await this.#options.drivers.plugins();
    const foreign = await Promise.all(
      plugins.map(async (driver) => {
        const names = await driver.names().catch((error) => void warnings.push(messageOf(error)));
        return (names ?? []).filter((name) => !this.find(name)).map((name) => foreignVolume(name, driver.name));
      }),
    );
    const volumes = new Map([...foreign.flat(), ...this.list()].map((volume) => [volume.name, volume]));
    return { volumes: [...volumes.values()], warnings };
  }

  /** Also one that a plugin has, though nobody has used it here. @throws notFound */
  async seek(name: string): Promise<Volume> {
    return this.find(name) ?? (await this.#foreign(name)) ?? this.get(name);
  }

  /** A plugin that does not answer soon has none: volumes of other drivers must not have to wait for it. */
  async #foreign(name: string): Promise<Volume | undefined> {
    const plugins = await this.#options.drivers.plugins();
    if (plugins.length === 0) return undefined;
    const { promise: late, resolve } = Promise.withResolvers<undefined>();
    const timer = setTimeout(() => resolve(undefined), PATIENCE_MS);
    const asked = plugins.map(async (driver) => {
      if (!(await driver.has(name))) throw notFound(name);
      return foreignVolume(name, driver.name);
    });
    const found = await Promise.race([Promise.any(asked).catch(() => undefined), late]);
    clearTimeout(timer);
    return found;
  }

  /** @throws unavailable when its driver does not answer */
  describe({ driver, name }: Volume): Promise<VolumeFacts> {
    return this.#driver(driver).describe(name);
  }

  find(name: string): Volume | undefined {
    return this.#records.find(name);
  }

  /** @throws notFound */
  get(name: string): Volume {
    const volume = this.find(name);
    if (!volume) throw notFound(`get ${name}: no such volume`);
    return volume;
  }

  /** @throws notFound */
  #driver(name: string): VolumeDriver {
    const driver = this.#options.drivers.find(name);
    if (!driver) throw notFound(`plugin ${JSON.stringify(name)} not found`);
    return driver;
  }

  /** Where its files are while it is mounted, on the host. */
  path({ driver, name }: Volume): string {
    return this.#driver(driver).path(name);
  }

  /** Bytes of its files; undefined when they are elsewhere. */
  async usage({ driver, name, options }: Volume): Promise<number | undefined> {
    return (await this.#driver(driver).usage(name, options))?.bytes;
  }

  /** Ids of the containers that name it. */
  usersOf(name: string): readonly string[] {
    return this.#users.of(name);
  }

  /** Idempotent for the same driver: what is there stays as it is. @throws invalid, conflict, notFound for an unknown driver */
  async create(asked: NewVolume): Promise<Volume> {
    const name = asked.name ?? newId();
    if (asked.name !== undefined) checkVolumeName(name);
    await using _ = await this.#locks.acquire(name);
    return await this.#create(name, asked);
  }

  async #create(name: string, asked: NewVolume): Promise<Volume> {
    const { options, labels, pendingFor } = asked;
    const present = this.find(name);
    if (present) return checkSame(present, asked.driver);
    const foreign = asked.driver === "" && asked.name !== undefined ? await this.#foreign(name) : undefined;
    const driver = this.#driver(asked.driver || foreign?.driver || DEFAULT_DRIVER);
    driver.check(options);
    const anonymous = asked.name === undefined;
    const volume: Volume = {
      name,
      driver: driver.name,
      created: new Date().toISOString(),
      options,
      labels: anonymous ? { ...labels, [ANONYMOUS]: "" } : labels,
      anonymous,
      ...(anonymous && pendingFor !== undefined && { pendingFor }),
    };
    this.#records.save(volume);
    try {
      await driver.create(name, options);
    } catch (error) {
      this.#records.remove(name);
      throw error;
    }
    this.#options.emit("create", name, { driver: driver.name });
    return volume;
  }

  /** Makes a volume where it is missing, and a container a user of it: it cannot be removed from then on. */
  async use(asked: NewVolume, containerId: string): Promise<Volume> {
    const name = asked.name ?? newId();
    if (asked.name !== undefined) checkVolumeName(name);
    await using _ = await this.#locks.acquire(name);
    const volume = await this.#create(name, asked);
    this.#users.add(name, containerId);
    return volume;
  }

  /** The container that anonymous volumes were made for is on record. */
  settle(containerId: string): void {
    for (const { pendingFor, ...volume } of this.list()) if (pendingFor === containerId) this.#records.save(volume);
  }

  /** A container names no volume any more. @param remove  whether those of its volumes that nobody named, or uses, go */
  async release(containerId: string, remove: boolean): Promise<void> {
    for (const name of this.#users.drop(containerId)) {
      await using _ = await this.#locks.acquire(name);
      const volume = this.find(name);
      if (volume?.anonymous && remove && this.usersOf(name).length === 0) await this.#remove(volume);
    }
  }

  /** @throws notFound, conflict in the words that clients match */
  async remove(name: string): Promise<void> {
    await using _ = await this.#locks.acquire(name);
    const volume = await this.seek(name);
    const users = this.usersOf(name);
    if (users.length > 0) throw conflict(`remove ${name}: volume is in use - [${users.join(", ")}]`);
    await this.#remove(volume);
  }

  /** The files first: a daemon that dies between leaves an empty volume, which can be removed again. */
  async #remove({ name, driver }: Volume): Promise<void> {
    await this.#driver(driver).remove(name);
    this.#records.remove(name);
    this.#options.emit("destroy", name, { driver });
  }

  /**
   * Puts first files into an empty volume. One that is nobody's elsewhere gets all of them at once, or none.
   * @param write  gets an empty directory; it may give that another owner and mode
   */
  async fill(name: string, write: (directory: string) => Promise<void>): Promise<void> {
    await using _ = await this.#locks.acquire(name);
    const { options, driver } = this.get(name);
    const isMounted = this.#mounted.of(name).length > 0;
    await this.#driver(driver).fill(name, options, isMounted, write);
  }

  /** Makes the files appear for a container that is about to run. @returns where. @throws notFound, invalid */
  async mount(name: string, containerId: string, attributes: Readonly<Record<string, string>> = {}): Promise<string> {
    await using _ = await this.#locks.acquire(name);
    const volume = this.get(name);
    const driver = this.#driver(volume.driver);
    await driver.mount(name, volume.options);
    this.#mounted.add(name, containerId);
    this.#options.emit("mount", name, { driver: volume.driver, container: containerId, ...attributes });
    return driver.path(name);
  }

  /** Of a container that does not run any more. Idempotent. The last one's end unmounts. */
  async unmount(containerId: string): Promise<void> {
    for (const name of this.#mounted.drop(containerId)) {
      await using _ = await this.#locks.acquire(name);
      const volume = this.find(name);
      if (!volume) continue;
      if (this.#mounted.of(name).length === 0) await this.#driver(volume.driver).unmount(name);
      this.#options.emit("unmount", name, { driver: volume.driver, container: containerId });
    }
  }

  /** Where the files of mounted volumes are. */
  mountPoints(): ReadonlySet<string> {
    const volumes = [...this.#mounted.names()].flatMap((name) => this.find(name) ?? []);
    return new Set(volumes.map((volume) => this.path(volume)));
  }

  /** At start: who uses what. */
  restore(containerId: string, names: readonly string[], running: boolean): void {
    for (const name of names) {
      this.#users.add(name, containerId);
      if (running) this.#mounted.add(name, containerId);
    }
  }

  /** At start, after `restore`: what a crash left. */
  async sweep(): Promise<void> {
    for (const { pendingFor, ...volume } of this.list()) {
      if (pendingFor === undefined) continue;
      if (this.usersOf(volume.name).length > 0) this.#records.save(volume);
      else await this.#remove(volume);
    }
    const mounted = this.#mounted.names();
    for (const name of new Set([DEFAULT_DRIVER, ...this.list().map(({ driver }) => driver)])) {
      const own = this.list().filter(({ driver }) => driver === name);
      const used = own.flatMap((volume) => (mounted.has(volume.name) ? [volume.name] : []));
      await this.#options.drivers.find(name)?.sweep(new Set(used));
    }
  }
}

/** One that a plugin has made for others. */
const foreignVolume = (name: string, driver: string): Volume => ({
  ...{ name, driver, created: "", options: {}, labels: {}, anonymous: false },
});

/** As with Docker, what else is asked for does not matter then. @throws conflict */
function checkSame(volume: Volume, driver: string): Volume {
  if (driver === "" || volume.driver === driver) return volume;
  throw conflict(`create ${volume.name}: conflict: volume name must be unique: it exists with driver ${volume.driver}`);
}
