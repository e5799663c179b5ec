import { afterAll, beforeAll } from "bun:test";
import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { PluginDriver } from "../../src/volume/driver-plugin.ts";
import { PluginClient } from "../../src/volume/plugin-client.ts";
import { type Folder, makeFolder } from "../support/folder.ts";
import { VolumePlugin } from "../support/volume-plugin.ts";
import { volumeDriverSuite } from "./volume-driver.ts";

let folder: Folder | undefined;
const plugins = new Map<string, VolumePlugin>();
beforeAll(async () => {
  folder = await makeFolder();
});
afterAll(async () => {
  for (const plugin of plugins.values()) plugin[Symbol.dispose]();
  await folder?.[Symbol.asyncDispose]();
});

/** The plugin outlives the daemons that use it. */
function open(place: string): PluginDriver {
  if (!existsSync(place)) mkdirSync(place, { recursive: true });
  if (!plugins.has(place)) plugins.set(place, new VolumePlugin(join(place, "p.sock"), join(place, "volumes")));
  const folders = { sockets: place, specs: [] };
  return new PluginDriver(
    new PluginClient("p", folders, { longMs: 10_000, shortMs: 10_000 }),
    (name) => `host/${name}`,
  );
}

volumeDriverSuite("the driver of a plugin", open, () => folder?.path ?? "");
