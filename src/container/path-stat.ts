/** What is at a path in a container, as `docker cp` asks. Source: wire-notes section 7; Go's package io/fs, FileMode. */

import { type BigIntStats, closeSync, fstatSync, readlinkSync } from "node:fs";
import { posix } from "node:path";
import { hasCode, invalid, notFound } from "../base/errors.ts";
import { openInRoot } from "../base/paths.ts";

export interface PathStat {
  readonly name: string;
  /** Bytes. */
  readonly size: number;
  /** Go's bits, not the kernel's. */
  readonly mode: number;
  /** RFC 3339 with nanoseconds. */
  readonly mtime: string;
  /** Of a link: where it leads in the end, absolute; else empty. */
  readonly linkTarget: string;
}

/** A path of a request: absolute, and whether it is meant to be a directory, as `/a/` and `/a/.` are. */
export interface CopyPath {
  readonly given: string;
  /** Without `.`, `..` and a slash at the end. */
  readonly clean: string;
  readonly directory: boolean;
  /** The last component as it was spelt: `.` of `/a/.`. */
  readonly base: string;
}

/** @throws invalid */
export function parseCopyPath(given: string): CopyPath {
  if (given === "") throw invalid("bad parameter: 'path' cannot be empty");
  if (given.includes("\0")) throw invalid("bad parameter: 'path' has a NUL byte");
  const clean = posix.resolve("/", given);
  const dot = /(^|\/)\.$/.test(given);
  return { given, clean, directory: dot || given.endsWith("/"), base: dot ? "." : posix.basename(clean) || "/" };
}

/** Kinds of file: the kernel's (S_IFMT of inode(7)) and Go's. */
const GO_KINDS = new Map([
  [0o040000, 2 ** 31],
  [0o120000, 2 ** 27],
  [0o060000, 2 ** 26],
  [0o020000, 2 ** 26 + 2 ** 21],
  [0o010000, 2 ** 25],
  [0o140000, 2 ** 24],
]);

/** @param mode  the kernel's */
export function goMode(mode: number): number {
  const special = (mode & 0o4000 ? 2 ** 23 : 0) + (mode & 0o2000 ? 2 ** 22 : 0) + (mode & 0o1000 ? 2 ** 20 : 0);
  return (GO_KINDS.get(mode & 0o170000) ?? 0) + special + (mode & 0o777);
}

function timeOf({ mtimeNs }: BigIntStats): string {
  const second = 1_000_000_000n;
  const fraction = ((mtimeNs % second) + second) % second;
  const whole = new Date(Number((mtimeNs - fraction) / 1_000_000n)).toISOString().slice(0, 19);
  const digits = String(fraction).padStart(9, "0").replace(/0+$/, "");
  return `${whole}${digits === "" ? "" : `.${digits}`}Z`;
}

/** Where an open file is, as its mount namespace sees it. */
export const placeOf = (fd: number): string => readlinkSync(`/proc/self/fd/${fd}`);

/** A link is followed to its end; where that is missing, one step. */
function linkTargetOf(root: string, path: string): string {
  try {
    const end = openInRoot(root, path);
    try {
      return placeOf(end);
    } finally {
      closeSync(end);
    }
  } catch (error) {
    if (!hasCode(error, "ENOENT", "ENOTDIR", "ELOOP")) throw error;
    const parent = openInRoot(root, posix.dirname(path));
    try {
      return posix.resolve(posix.dirname(path), readlinkSync(`/proc/self/fd/${parent}/${posix.basename(path)}`));
    } finally {
      closeSync(parent);
    }
  }
}

/**
 * Opens what a path names; a link only where a directory is meant. Close it.
 * @param reference  the container as the user named it. @throws notFound in Docker's words, invalid
 */
export function openPath(root: string, path: CopyPath, reference: string): number {
  try {
    const fd = openInRoot(root, path.clean, path.directory);
    if (!path.directory || fstatSync(fd).isDirectory()) return fd;
    closeSync(fd);
    throw invalid(`${path.given}: not a directory`);
  } catch (error) {
    const { given } = path;
    if (hasCode(error, "ENOENT")) throw notFound(`Could not find the file ${given} in container ${reference}`);
    if (hasCode(error, "ENOTDIR", "ELOOP", "ENAMETOOLONG"))
      throw invalid(`${given}: not a directory`, { cause: error });
    throw error;
  }
}

/** @param fd  from `openPath` */
export function statOf(root: string, path: CopyPath, fd: number): PathStat {
  const stats = fstatSync(fd, { bigint: true });
  return {
    name: path.base,
    size: Number(stats.size),
    mode: goMode(Number(stats.mode)),
    mtime: timeOf(stats),
    linkTarget: stats.isSymbolicLink() ? linkTargetOf(root, path.clean) : "",
  };
}
