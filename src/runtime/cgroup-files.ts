/**
 * What both generations of cgroups have in common: directories, files of one value, and processes that end. All of it is memory of the kernel's,
 * so most of it is asked for then and there: to hand it to a thread and back takes several times as long, forty times for a container. Only what
 * may make the kernel work for longer goes to a thread: writing limits that running processes have to be brought under.
 */

import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { hasCode, ifMissing, internal, invalid, messageOf, notFound } from "../base/errors.ts";

const REMOVE_TIMEOUT_MS = 5000;
const REMOVE_PAUSE_MS = 2;

/** @throws invalid unless `path` is below the root, or below our own place when it is relative, and without `..` */
export function checkPath(path: string): string {
  if (!/^\/?[^/\0]+(\/[^/\0]+)*$/.test(path) || path.split("/").some((part) => part === "." || part === ".."))
    throw invalid(`invalid cgroup ${JSON.stringify(path)}: want a path below the root, without ..`);
  return path;
}

/** `/a/b/c` → `/a`, `/a/b`, `/a/b/c`; `a/b` → `a`, `a/b` */
export const lineage = (path: string): string[] =>
  path.split("/").flatMap((part, index, parts) => (part === "" ? [] : [parts.slice(0, index + 1).join("/")]));

/**
 * Where a process is in every tree, by controller; that of version 2 has no name.
 * @param text  of /proc/<pid>/cgroup; see cgroups(7)
 */
export function ownPlaces(text: string): ReadonlyMap<string, string> {
  const places = text.split("\n").flatMap((line): [string, string][] => {
    const [, names, path] = /^\d+:([^:]*):(.*)$/.exec(line) ?? [];
    return names === undefined || path === undefined ? [] : names.split(",").map((name) => [name, path]);
  });
  return new Map(places);
}

/** The directory of a cgroup in a tree. @param own  where this process is in it. @throws invalid */
export const directoryIn = (mount: string, own: string, path: string): string =>
  checkPath(path).startsWith("/") ? join(mount, path) : join(mount, own, path);

/** Makes one directory. @returns whether it was missing. @throws internal */
export function makeDirectory(path: string): boolean {
  if (existsSync(path)) return false;
  try {
    mkdirSync(path);
    return true;
  } catch (error) {
    if (hasCode(error, "EEXIST")) return false;
    throw internal(`Cannot make cgroup ${path}: ${messageOf(error)}`, { cause: error });
  }
}

/** @returns the text without the newline at its end; undefined when there is no such file, or it has nothing to say */
export async function readValue(directory: string, name: string): Promise<string | undefined> {
  try {
    return readFileSync(join(directory, name), "utf8").trimEnd();
  } catch (error) {
    return ifMissing(undefined, "ENODEV", "EOPNOTSUPP")(error);
  }
}

/** @returns 0 when there is none; undefined means no limit: `max`, `-1` or a number that cannot be met */
export async function readNumber(directory: string, name: string): Promise<number> {
  return Number((await readValue(directory, name)) ?? 0);
}

const UNLIMITED_FROM = 2 ** 62;

export async function readLimit(directory: string, name: string): Promise<number | undefined> {
  const value = await readValue(directory, name);
  const limit = value === undefined || value === "max" ? -1 : Number(value);
  return limit < 0 || limit >= UNLIMITED_FROM ? undefined : limit;
}

/** Lines `key value`. */
export async function readTable(directory: string, name: string): Promise<Record<string, number>> {
  const lines = ((await readValue(directory, name)) ?? "").split("\n");
  return Object.fromEntries(
    lines.flatMap((line) => {
      const [key = "", value] = line.split(" ");
      return value === undefined ? [] : [[key, Number(value)]];
    }),
  );
}

function notWritten(directory: string, name: string, value: string, error: unknown): Error {
  if (hasCode(error, "ENOENT", "ENODEV") && !existsSync(directory))
    return notFound(`no cgroup ${directory}`, { cause: error });
  const text = `Cannot set ${name} to ${JSON.stringify(value)} in ${directory}: ${messageOf(error)}`;
  return invalid(text, { cause: error });
}

/** Sets a value. @throws invalid when the kernel refuses the value, notFound when the cgroup is gone */
export type WriteValue = (directory: string, name: string, value: string) => Promise<void>;

/** Of a cgroup that has processes, which may take as long as the kernel needs to bring them under it. */
export const writeValue: WriteValue = async (directory, name, value) => {
  await writeFile(join(directory, name), value).catch((error) => {
    throw notWritten(directory, name, value, error);
  });
};

/** Of a cgroup that nothing is in. */
export const writeNewValue: WriteValue = async (directory, name, value) => {
  try {
    writeFileSync(join(directory, name), value);
  } catch (error) {
    throw notWritten(directory, name, value, error);
  }
};

/** Of a cgroup that nothing is in: a file that takes one thing at a time, and adds it to what it has. @throws as WriteValue */
export function writeLines(directory: string, name: string, lines: readonly string[]): void {
  let line = "";
  try {
    const fd = openSync(join(directory, name), "w");
    try {
      for (line of lines) writeSync(fd, line);
    } finally {
      closeSync(fd);
    }
  } catch (error) {
    throw notWritten(directory, name, line, error);
  }
}

/** A process moves from one subordinate cgroup to the next while they are listed; a second look costs nothing. */
export async function processesBelow(directory: string): Promise<number[]> {
  const pids = new Set<number>();
  for (const inner of [directory, ...descendants(directory)])
    for (const line of ((await readValue(inner, "cgroup.procs")) ?? "").split("\n")) if (line) pids.add(Number(line));
  return [...pids];
}

/** Subordinate cgroups, the outer ones first. */
function descendants(directory: string): string[] {
  try {
    const entries = readdirSync(directory, { withFileTypes: true });
    const inner = entries.filter((entry) => entry.isDirectory()).map(({ name }) => join(directory, name));
    return inner.flatMap((path) => [path, ...descendants(path)]);
  } catch (error) {
    return ifMissing([], "ENODEV")(error);
  }
}

/** Sends SIGKILL to all that are in `directory` and below. @returns how many there were */
export async function killBelow(directory: string): Promise<number> {
  const pids = await processesBelow(directory);
  for (const pid of pids)
    try {
      process.kill(pid, "SIGKILL");
    } catch (error) {
      if (!hasCode(error, "ESRCH")) throw error;
    }
  return pids.length;
}

/** @returns whether it is gone; a process that was killed counts until it is reaped, one below it until it is removed */
export function removeEmpty(directory: string): boolean {
  try {
    rmdirSync(directory);
  } catch (error) {
    if (hasCode(error, "EBUSY", "ENOTEMPTY")) return false;
    if (!hasCode(error, "ENOENT")) throw error;
  }
  return true;
}

const removeWithInner = (directory: string): boolean =>
  [...descendants(directory).reverse(), directory].every(removeEmpty);

/**
 * Removes a cgroup and those below it. v1 has no event for the end of the last process, so it is asked again until a deadline.
 * @throws internal
 */
export async function removeTree(directory: string): Promise<void> {
  const deadline = Date.now() + REMOVE_TIMEOUT_MS;
  while (!removeWithInner(directory)) {
    if (Date.now() > deadline) throw internal(`Cannot remove cgroup ${directory}: it does not become empty`);
    await killBelow(directory);
    await Bun.sleep(REMOVE_PAUSE_MS);
  }
}
