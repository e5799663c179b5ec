/** Where plugins are: files that they, or whoever installed them, put into folders. Source: Docker's documentation, "Docker Plugin API", "Plugin discovery". */

import { readdir, readFile, stat } from "node:fs/promises";
import { basename, extname, join } from "node:path";
import { corrupt, ifMissing, messageOf } from "../base/errors.ts";
import { isObject } from "../base/objects.ts";

export interface PluginFolders {
  /** Of sockets. */
  readonly sockets: string;
  /** Of `.spec` and `.json` files, in the order of looking. */
  readonly specs: readonly string[];
}

export const PLUGIN_FOLDERS: PluginFolders = {
  sockets: "/run/docker/plugins",
  specs: ["/etc/docker/plugins", "/usr/lib/docker/plugins"],
};

export interface PluginAddress {
  /** Of HTTP, without a slash at the end. */
  readonly url: string;
  /** A socket's path. */
  readonly unix?: string;
  readonly tls?: {
    readonly rejectUnauthorized: boolean;
    readonly ca?: string;
    readonly cert?: string;
    readonly key?: string;
  };
}

/** No path, and no option. Names of plugins that the engine would manage, as `vieux/sshfs:latest`, are none of these. */
const NAME = /^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,254}$/;

/** More is no address. Bytes. */
const LONGEST_FILE = 64 << 10;

/** `unix:///path`, `tcp://host:port`, `http://…`, `https://…`. @throws corrupt */
function parseAddress(text: string, tls: PluginAddress["tls"]): PluginAddress {
  const [, scheme, rest = ""] = /^([a-z]+):\/\/(\S+)$/.exec(text.trim()) ?? [];
  if (scheme === "unix" && rest.startsWith("/")) return { url: "http://plugin", unix: rest };
  const isPlain = scheme === "http" || scheme === "tcp";
  const url = `${tls || scheme === "https" ? "https" : "http"}://${rest.replace(/\/$/, "")}`;
  if ((!isPlain && scheme !== "https") || !URL.canParse(url)) throw corrupt("Unknown protocol");
  return { url, ...(tls && { tls }) };
}

const textOf = (value: unknown): string | undefined => (typeof value === "string" && value !== "" ? value : undefined);

/** `{"Name", "Addr", "TLSConfig": {"InsecureSkipVerify", "CAFile", "CertFile", "KeyFile"}}` */
async function parseSpec(text: string): Promise<PluginAddress> {
  const value: unknown = JSON.parse(text);
  if (!isObject(value) || typeof value.Addr !== "string") throw corrupt("want an object with Addr");
  const config = value.TLSConfig;
  if (!isObject(config)) return parseAddress(value.Addr, undefined);
  const [ca, cert, key] = await Promise.all(
    [config.CAFile, config.CertFile, config.KeyFile].map((each) => {
      const path = textOf(each);
      return path === undefined ? undefined : readFile(path, "utf8");
    }),
  );
  // As Docker has it: without an authority of its own nobody is to vouch for it.
  const rejectUnauthorized = config.InsecureSkipVerify !== true && ca !== undefined;
  return parseAddress(value.Addr, {
    rejectUnauthorized,
    ...(ca && { ca }),
    ...(cert && { cert }),
    ...(key && { key }),
  });
}

const placesOf = (folder: string, name: string, extension: string): readonly string[] => [
  join(folder, `${name}${extension}`),
  join(folder, name, `${name}${extension}`),
];

async function readSpec(path: string): Promise<PluginAddress | undefined> {
  const info = await stat(path).catch(ifMissing(undefined, "ENOTDIR"));
  if (!info?.isFile()) return undefined;
  try {
    if (info.size > LONGEST_FILE) throw corrupt(`it has more than ${LONGEST_FILE} bytes`);
    const text = await readFile(path, "utf8");
    return extname(path) === ".json" ? await parseSpec(text) : parseAddress(text, undefined);
  } catch (error) {
    throw corrupt(`Cannot read ${path}: ${messageOf(error)}`);
  }
}

/** @returns undefined when there is no plugin of this name. @throws corrupt when its file makes no sense */
export async function locatePlugin(folders: PluginFolders, name: string): Promise<PluginAddress | undefined> {
  if (!NAME.test(name)) return undefined;
  for (const path of placesOf(folders.sockets, name, ".sock")) {
    const info = await stat(path).catch(ifMissing(undefined, "ENOTDIR"));
    if (info?.isSocket()) return { url: "http://plugin", unix: path };
  }
  const specs = folders.specs.flatMap((folder) => [
    ...placesOf(folder, name, ".spec"),
    ...placesOf(folder, name, ".json"),
  ]);
  for (const path of specs) {
    const address = await readSpec(path);
    if (address) return address;
  }
  return undefined;
}

/** Names of all that may be plugins. */
export async function pluginNames({ sockets, specs }: PluginFolders): Promise<readonly string[]> {
  const names = new Set<string>();
  for (const [folder, extensions] of [
    [sockets, [".sock"]] as const,
    ...specs.map((one) => [one, [".spec", ".json"]] as const),
  ])
    for (const { name } of await readdir(folder, { withFileTypes: true }).catch(ifMissing([], "ENOTDIR"))) {
      const bare = extensions.some((each) => each === extname(name)) ? basename(name, extname(name)) : name;
      if (NAME.test(bare)) names.add(bare);
    }
  return [...names].sort();
}
