/** `cp`: files between containers and this machine. Archives of this machine's side are tar(1)'s work. */

import { lstatSync, mkdirSync, statSync } from "node:fs";
import { basename, dirname, posix, resolve } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { type Client, DaemonError } from "./client.ts";
import type { Command } from "./command.ts";
import { type Found, isContents, parsePlace, renaming, type Target, targetOf } from "./cp-path.ts";
import { type Flags, UsageError } from "./flags.ts";

interface Remote {
  readonly container: string;
  readonly path: string;
}

interface PathStat {
  readonly name: string;
  /** Go's bits. */
  readonly mode: number;
  readonly linkTarget: string;
}

const isDirectory = ({ mode }: PathStat): boolean => mode >= 2 ** 31;

const archive = ({ container }: Remote): string => `/containers/${encodeURIComponent(container)}/archive`;

/** @returns undefined when there is nothing. @throws DaemonError */
async function statRemote(client: Client, remote: Remote): Promise<PathStat | undefined> {
  try {
    const { headers } = await client.request("HEAD", archive(remote), { query: { path: remote.path } });
    return JSON.parse(Buffer.from(headers.get("x-docker-container-path-stat") ?? "", "base64").toString());
  } catch (error) {
    if (error instanceof DaemonError && error.status === 404) return undefined;
    throw error;
  }
}

/** A link's end, spelt like the link. */
const spelt = (target: string, like: string): string => {
  if (isContents(like)) return `${target}/.`;
  return like.endsWith("/") ? `${target}/` : target;
};

async function ended(child: { readonly exited: Promise<number> }): Promise<void> {
  const code = await child.exited;
  if (code !== 0) throw new Error(`tar failed with exit code ${code}`);
}

function foundHere(path: string): Found {
  const stats = statSync(path, { throwIfNoEntry: false });
  return stats === undefined ? "nothing" : stats.isDirectory() ? "directory" : "other";
}

async function toHere(client: Client, from: Remote, to: string, flags: Flags): Promise<void> {
  const stat = await statRemote(client, from);
  const target = flags.on("follow-link") ? stat?.linkTarget : "";
  const source = target ? { ...from, path: spelt(target, from.path) } : from;
  const { body } = await client.request("GET", archive(source), { query: { path: source.path } });
  if (to === "-") return pipeline(Readable.from(body ?? []), process.stdout, { end: false });
  const followed = target ? await statRemote(client, source) : stat;
  const of = { path: from.path, directory: followed !== undefined && isDirectory(followed) };
  await extract(body, targetOf(of, to, foundHere(to)), {
    from: posix.basename(posix.resolve("/", source.path)),
    as: posix.basename(posix.resolve("/", from.path)),
    owner: flags.on("archive"),
  });
}

interface Extraction {
  /** The name in the archive, and the one that was asked for. */
  readonly from: string;
  readonly as: string;
  readonly owner: boolean;
}

async function extract(body: ReadableStream<Uint8Array> | null, target: Target, { from, as, owner }: Extraction) {
  const { directory, make, name = as } = target;
  if (make) mkdirSync(directory);
  const words = ["-C", directory, owner ? "--same-owner" : "--no-same-owner", "-pxf", "-"];
  const renamed = name === from || make || name === "" ? [] : [renaming(from, name)];
  const child = Bun.spawn(["tar", ...words, ...renamed], { stdin: "pipe", stdout: "ignore", stderr: "inherit" });
  for await (const piece of body ?? []) {
    child.stdin.write(piece);
    await child.stdin.flush();
  }
  await child.stdin.end();
  await ended(child);
}

/** @throws DaemonError, Error when it does not exist */
async function targetThere(
  client: Client,
  to: Remote,
  source: { readonly path: string; readonly directory: boolean },
): Promise<Target> {
  const stat = await statRemote(client, to);
  const goal = stat?.linkTarget ? { ...to, path: spelt(stat.linkTarget, to.path) } : to;
  const end = stat?.linkTarget ? await statRemote(client, goal) : stat;
  const target = targetOf(source, goal.path, end === undefined ? "nothing" : isDirectory(end) ? "directory" : "other");
  if (!target.make) return target;
  // What is in a directory becomes what is in a new one: the archive brings it along.
  const bare = goal.path.replace(/\/+$/, "");
  return { directory: posix.dirname(bare), make: false, name: posix.basename(bare) };
}

async function toThere(client: Client, from: string, to: Remote, flags: Flags): Promise<void> {
  const query = {
    noOverwriteDirNonDir: "1",
    ...(flags.on("archive") && { copyUIDGID: "1" }),
  };
  const headers = { "Content-Type": "application/x-tar" };
  const put = (path: string, body: ReadableStream<Uint8Array>) =>
    client.request("PUT", archive(to), { query: { ...query, path }, body, headers });
  if (from === "-") {
    await put(to.path, Bun.stdin.stream());
    return;
  }
  const follow = flags.on("follow-link") || from.endsWith("/") || isContents(from);
  const stats = follow ? statSync(from) : lstatSync(from);
  const source = { path: from, directory: stats.isDirectory() };
  const target = await targetThere(client, to, source);
  const child = pack(from, target.name, follow);
  await put(target.directory, child.stdout);
  await ended(child);
}

/** @param name  what it is called in the archive; undefined for its own */
function pack(from: string, name: string | undefined, follow: boolean) {
  const path = resolve(from);
  const own = isContents(from) ? "." : basename(path);
  const parent = isContents(from) ? path : dirname(path);
  const renamed = name === undefined || name === own ? [] : [renaming(own, name)];
  // A link that is followed is packed as what it leads to, and the links in that as they are.
  const words = follow && own !== "." && lstatSync(path).isSymbolicLink() ? followed(path, own, name) : undefined;
  const usual = ["-C", parent, "-cf", "-", ...renamed, "--", own];
  return Bun.spawn(["tar", ...(words ?? usual)], { stdin: "ignore", stdout: "pipe", stderr: "inherit" });
}

function followed(path: string, own: string, name = own): readonly string[] {
  const end = resolve(dirname(path), Bun.spawnSync(["readlink", "-f", path]).stdout.toString().replace(/\n$/, ""));
  const renamed = basename(end) === name ? [] : [renaming(basename(end), name)];
  return ["-C", dirname(end), "-cf", "-", ...renamed, "--", basename(end)];
}

export const cpCommand: Command = {
  usage: "cp [OPTIONS] CONTAINER:SRC_PATH DEST_PATH|- | SRC_PATH|- CONTAINER:DEST_PATH",
  summary: "Copy files/folders between a container and the local filesystem",
  flags: {
    archive: { kind: "bool", short: "a", help: "Archive mode (copy all uid/gid information)" },
    "follow-link": { kind: "bool", short: "L", help: "Always follow symbol link in SRC_PATH" },
  },
  args: [2, 2],
  async run(client, flags) {
    const [from, to] = [parsePlace(flags.args[0] ?? ""), parsePlace(flags.args[1] ?? "")];
    if ("container" in from && "container" in to) throw new UsageError("copying between containers is not supported");
    if ("container" in from) await toHere(client, from, to.path, flags);
    else if ("container" in to) await toThere(client, from.path, to, flags);
    else throw new UsageError("must specify at least one container source");
    return 0;
  },
};
