/** The drivers that there are: the engine's own, and whatever plugins come and go. */

import { createHash } from "node:crypto";
import type { VolumeDriver } from "./driver.ts";
import { PluginDriver } from "./driver-plugin.ts";
import { type PluginFolders, pluginNames } from "./plugin-address.ts";
import { PluginClient, type PluginLimits } from "./plugin-client.ts";

export interface PluginOptions {
  readonly folders: PluginFolders;
  readonly limits: PluginLimits;
  /** Identifies this engine among all hosts that use the same storage. */
  readonly engineId: string;
}

export class VolumeDrivers {
  readonly #own: readonly VolumeDriver[];
  readonly #plugins = new Map<string, PluginDriver>();
  readonly #options: PluginOptions | undefined;

  /** @param plugins  undefined: there are none */
  constructor(own: readonly VolumeDriver[], plugins?: PluginOptions) {
    this.#own = own;
    this.#options = plugins;
  }

  /** @returns undefined where that cannot be the name of one. A plugin that is not there says so when it is asked for something */
  find(name: string): VolumeDriver | undefined {
    return this.#own.find((one) => one.name === name) ?? this.#plugin(name);
  }

  #plugin(name: string): PluginDriver | undefined {
    const options = this.#options;
    if (!options) return undefined;
    const known = this.#plugins.get(name);
    if (known) return known;
    const mountId = (volume: string) =>
      createHash("sha256").update(`${options.engineId}/${name}/${volume}`).digest("hex");
    const driver = new PluginDriver(new PluginClient(name, options.folders, options.limits), mountId);
    this.#plugins.set(name, driver);
    return driver;
  }

  /** Those that may have volumes which are not on record. */
  async plugins(): Promise<readonly PluginDriver[]> {
    const names = this.#options ? await pluginNames(this.#options.folders) : [];
    return names.flatMap((name) => (this.#own.some((one) => one.name === name) ? [] : (this.#plugin(name) ?? [])));
  }

  async names(): Promise<readonly string[]> {
    const plugins = await this.plugins();
    return [...this.#own, ...plugins].map(({ name }) => name);
  }
}
