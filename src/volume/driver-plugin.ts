/**
 * Volumes that a plugin has, over Docker's protocol. Source: Docker's documentation, "Docker volume plugins".
 *
 * A plugin counts its users by mounts. It is told of one for each volume, from the first container to the last: by an id that the next daemon knows, too.
 */

import { rm } from "node:fs/promises";
import { join } from "node:path";
import { corrupt, kindOf } from "../base/errors.ts";
import { isObject } from "../base/objects.ts";
import { namesIn } from "./directories.ts";
import type { VolumeDriver, VolumeFacts, VolumeOptions } from "./driver.ts";
import type { Answer, PluginClient } from "./plugin-client.ts";

const LONGEST_PATH = 4095;

/** An absolute path of the host's. Empty, where a volume need not be anywhere yet. @throws corrupt */
function pathIn(answer: Answer, who: string): string {
  const { Mountpoint: path = "" } = answer;
  if (path === "") return "";
  if (typeof path !== "string" || !path.startsWith("/") || path.includes("\0") || path.length > LONGEST_PATH)
    throw corrupt(
      `plugin ${JSON.stringify(who)}: its mountpoint is no absolute path: ${JSON.stringify(path).slice(0, 200)}`,
    );
  return path;
}

export class PluginDriver implements VolumeDriver {
  readonly #client: PluginClient;
  readonly #mountId: (volume: string) => string;
  /** Mounted volumes, and where; empty as long as that is not known. */
  readonly #mounted = new Map<string, string>();
  /** Where volumes are, or were. */
  readonly #paths = new Map<string, string>();
  #scope: VolumeFacts["scope"] | undefined;

  /** @param mountId  names this host's use of a volume, and no other's */
  constructor(client: PluginClient, mountId: (volume: string) => string) {
    this.#client = client;
    this.#mountId = mountId;
  }

  get name(): string {
    return this.#client.name;
  }

  /** Options are the plugin's: `create` says what it thinks of them. */
  check(): void {}

  async create(name: string, options: VolumeOptions): Promise<void> {
    if (await this.#find(name)) return;
    await this.#client.call("Create", { Name: name, Opts: options }, true);
  }

  path(name: string): string {
    return this.#mounted.get(name) || this.#paths.get(name) || "";
  }

  async mount(name: string): Promise<void> {
    if (this.#mounted.get(name)) return;
    const isMounted = this.#mounted.has(name);
    const body = { Name: name, ID: this.#mountId(name) };
    const path = pathIn(await this.#client.call(isMounted ? "Path" : "Mount", body, true), this.name);
    if (path === "") throw corrupt(`plugin ${JSON.stringify(this.name)}: it told no mountpoint of ${name}`);
    this.#mounted.set(name, path);
    this.#paths.set(name, path);
  }

  async unmount(name: string): Promise<void> {
    if (!this.#mounted.has(name)) return;
    await this.#client.call("Unmount", { Name: name, ID: this.#mountId(name) }, true);
    this.#mounted.delete(name);
  }

  async fill(
    name: string,
    _options: VolumeOptions,
    mounted: boolean,
    write: (directory: string) => Promise<void>,
  ): Promise<void> {
    await this.mount(name);
    try {
      const path = this.path(name);
      if ((await namesIn(path)).length === 0) await this.#write(path, write);
    } finally {
      if (!mounted) await this.unmount(name);
    }
  }

  /** It was empty, and is again when this fails. */
  async #write(path: string, write: (directory: string) => Promise<void>): Promise<void> {
    try {
      await write(path);
    } catch (error) {
      for (const name of await namesIn(path)) await rm(join(path, name), { recursive: true, force: true });
      throw error;
    }
  }

  async remove(name: string): Promise<void> {
    try {
      await this.#client.call("Remove", { Name: name }, true);
    } catch (error) {
      if (kindOf(error) !== "internal" || (await this.#find(name))) throw error;
    }
    this.#paths.delete(name);
    this.#mounted.delete(name);
  }

  /** What it takes is the plugin's affair. */
  async usage(): Promise<undefined> {}

  /** Nobody waits for a plugin with the start of a daemon: what is used is mounted, and where is asked when somebody wants to know. */
  async sweep(used: ReadonlySet<string>): Promise<void> {
    for (const name of used) if (!this.#mounted.has(name)) this.#mounted.set(name, "");
  }

  async describe(name: string): Promise<VolumeFacts> {
    const [{ Volume: volume }, scope] = await Promise.all([
      this.#client.call("Get", { Name: name }, false),
      this.#scopeOf(),
    ]);
    const known: Answer = isObject(volume) ? volume : {};
    const path = pathIn(known, this.name);
    if (path !== "") this.#paths.set(name, path);
    return { path: path || this.path(name), scope, ...(isObject(known.Status) && { status: known.Status }) };
  }

  async #scopeOf(): Promise<VolumeFacts["scope"]> {
    try {
      const { Capabilities: found } = await this.#client.call("Capabilities", {}, false);
      this.#scope = isObject(found) && String(found.Scope).toLowerCase() === "global" ? "global" : "local";
    } catch {
      return this.#scope ?? "local"; // plugins of before Docker 1.12 have not got this
    }
    return this.#scope;
  }

  async names(): Promise<readonly string[]> {
    const { Volumes: found } = await this.#client.call("List", {}, false);
    const volumes: readonly unknown[] = Array.isArray(found) ? found : [];
    return volumes.flatMap((each) => (isObject(each) && typeof each.Name === "string" ? [each.Name] : []));
  }

  async has(name: string): Promise<boolean> {
    return (await this.#find(name)) !== undefined;
  }

  /** @returns undefined when it has no such volume. @throws when it does not say */
  async #find(name: string): Promise<Answer | undefined> {
    try {
      const { Volume: volume } = await this.#client.call("Get", { Name: name }, false);
      return isObject(volume) && volume.Name === name ? volume : undefined;
    } catch (error) {
      if (kindOf(error) === "internal") return undefined; // it said so, in its own words
      throw error;
    }
  }
}
