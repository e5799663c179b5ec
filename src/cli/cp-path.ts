/** Docker's rules for what a copy is called and where it goes. Pure. Source: docs.docker.com, `docker cp`. */

import { posix } from "node:path";
import { UsageError } from "./flags.ts";

export type Place = { readonly container: string; readonly path: string } | { readonly path: string };

/** `container:path`; what begins with a slash or a dot, or has no colon, is of this machine. `-` is a stream. */
export function parsePlace(text: string): Place {
  const at = text.indexOf(":");
  if (/^[./]/.test(text) || at < 0) return { path: text };
  if (at === 0) throw new UsageError(`invalid place ${JSON.stringify(text)}: the container is missing`);
  return { container: text.slice(0, at), path: text.slice(at + 1) };
}

/** Of `/a/.`: what is in it, rather than it. */
export const isContents = (path: string): boolean => /(^|\/)\.$/.test(path);

export interface Source {
  readonly path: string;
  readonly directory: boolean;
}

/** What is at a destination. */
export type Found = "directory" | "other" | "nothing";

export interface Target {
  /** An existing directory, unless it is to be made. */
  readonly directory: string;
  readonly make: boolean;
  /** What the source's last name becomes; undefined when it stays. */
  readonly name: string | undefined;
}

/** @throws Error in docker's words */
export function targetOf(source: Source, destination: string, found: Found): Target {
  if (found === "directory") return { directory: destination, make: false, name: undefined };
  if (found === "other") {
    if (source.directory) throw new Error("cannot copy directory");
    if (destination.endsWith("/")) throw new Error(`destination ${destination} is not a directory`);
  } else if (!source.directory && destination.endsWith("/")) throw new Error("no such directory");
  if (source.directory && isContents(source.path)) return { directory: destination, make: true, name: undefined };
  const bare = destination.replace(/(.)\/+$/, "$1");
  return { directory: posix.dirname(bare), make: false, name: posix.basename(bare) };
}

const escaped = (text: string, special: RegExp): string => text.replace(special, "\\$&");

/** @returns GNU tar's option that gives the first name of every path, and of hard links, another name */
export const renaming = (from: string, to: string): string =>
  `--transform=flags=rh;s,^${escaped(from, /[.[\]*^$\\,]/g)}\\(/\\|$\\),${escaped(to, /[\\&,]/g)}\\1,`;
