/**
 * A tar, taken apart into a directory of somebody's root: `docker cp`, and what a volume gets of an image. The archive is hostile, and so is who
 * lives in the root: names are resolved as that root's owner would see them (openat2, RESOLVE_IN_ROOT), and what is made is made below
 * descriptors. Source of the rules: Docker Engine API, PutContainerArchive.
 */

import { closeSync } from "node:fs";
import type { FileAttributes } from "../base/attributes.ts";
import { corrupt, hasCode, invalid } from "../base/errors.ts";
import { openInRoot } from "../base/paths.ts";
import { place, placeFile, placeLink, type Spot, setAttributes } from "../base/place.ts";
import type { Portions } from "../base/portions.ts";
import type { Bytes } from "../base/streams.ts";
import { writeBlocking } from "../base/writing.ts";
import { readTar, type TarEntry } from "../image/tar.ts";
import { S_IF } from "../runtime/ops.ts";

export interface UntarPlace {
  /** A directory, trusted: what is below is not. */
  readonly root: string;
  /** A directory in it, as its owner sees it. */
  readonly path: string;
}

export interface UntarOptions {
  /** A directory is never replaced by something else, nor something else by a directory. */
  readonly keepKinds?: boolean;
  /** Whose everything is, whatever the archive says. */
  readonly owner?: { readonly uid: number; readonly gid: number };
}

const bytesOf = (text: string): Buffer => Buffer.from(text, "latin1");

/** Components of a name in the archive; none for the directory itself. @throws corrupt for one that leads out */
function componentsOf(name: string): readonly string[] {
  const parts = name.split("/").filter((part) => part !== "" && part !== ".");
  if (parts.includes(".."))
    throw corrupt(`Cannot unpack ${JSON.stringify(name)}: it is outside of the target directory`);
  return parts;
}

const NODES: Readonly<Partial<Record<TarEntry["type"], number>>> = {
  character: S_IF.chr,
  block: S_IF.blk,
  fifo: S_IF.fifo,
};

const IMPLIED: FileAttributes = {
  mode: 0o755,
  uid: 0,
  gid: 0,
  mtime: { seconds: 0, nanoseconds: 0 },
  device: [0, 0],
  xattrs: new Map(),
};

function exists(directory: number, name: Buffer): boolean {
  try {
    closeSync(openInRoot(`/proc/self/fd/${directory}`, name, false));
    return true;
  } catch (error) {
    if (hasCode(error, "ENOENT")) return false;
    throw error;
  }
}

/** A directory, open while things are put into it: archives name one after the other what is in the same. */
class Parents implements Disposable {
  #path: string | undefined;
  #fd = -1;

  constructor(readonly place: UntarPlace) {}

  /** Opens it, made where missing. @returns a descriptor, valid until the next call. @throws SystemError */
  open(parts: readonly string[]): number {
    const path = parts.join("/");
    if (path === this.#path) return this.#fd;
    const fd = this.#make(parts);
    this[Symbol.dispose]();
    this.#path = path;
    this.#fd = fd;
    return fd;
  }

  #make(parts: readonly string[]): number {
    const { root, path } = this.place;
    try {
      return openInRoot(root, bytesOf(`${Buffer.from(path).toString("latin1")}/${parts.join("/")}`));
    } catch (error) {
      const name = parts.at(-1);
      if (!hasCode(error, "ENOENT") || name === undefined) throw error;
      const above = this.#make(parts.slice(0, -1));
      try {
        if (exists(above, bytesOf(name))) throw error; // a link that leads nowhere
        const mtime = { seconds: Math.floor(Date.now() / 1000), nanoseconds: 0 };
        const made = place({ directory: above, name: bytesOf(name), keepKinds: false }, "directory", IMPLIED);
        setAttributes(made, { ...IMPLIED, mtime });
        return made;
      } finally {
        closeSync(above);
      }
    }
  }

  [Symbol.dispose](): void {
    if (this.#fd >= 0) closeSync(this.#fd);
    this.#fd = -1;
    this.#path = undefined;
  }
}

class Untar implements Disposable {
  readonly #parents: Parents;
  /** What was written in them has changed their times: they get them in the end. */
  readonly #directories = new Map<string, { readonly parts: readonly string[]; readonly attributes: FileAttributes }>();

  constructor(
    readonly place: UntarPlace,
    readonly options: UntarOptions,
  ) {
    this.#parents = new Parents(place);
  }

  async take(entry: TarEntry): Promise<void> {
    const parts = componentsOf(entry.name);
    const name = parts.at(-1);
    if (name === undefined) return; // the directory itself is not the archive's
    if (entry.type === "other")
      throw corrupt(
        `Cannot unpack ${JSON.stringify(entry.name)}: it is of a kind that is not supported (sparse, perhaps)`,
      );
    const { keepKinds = false } = this.options;
    const spot = { directory: this.#parents.open(parts.slice(0, -1)), name: bytesOf(name), keepKinds };
    if (entry.type === "hardlink") return this.#link(entry, spot);
    await this.#make(entry, spot, parts);
  }

  #link(entry: TarEntry, spot: Spot): void {
    const parts = componentsOf(entry.linkName);
    const goal = parts.at(-1);
    if (goal === undefined) throw corrupt(`Cannot unpack ${JSON.stringify(entry.name)}: it is a link to a directory`);
    using from = new Parents(this.place);
    const directory = from.open(parts.slice(0, -1));
    placing(entry, spot, () => placeLink(directory, bytesOf(goal), spot));
  }

  async #make(entry: TarEntry, spot: Spot, parts: readonly string[]): Promise<void> {
    const node = NODES[entry.type];
    const attributes = { ...entry.attributes, ...this.options.owner };
    const whole = entry.type === "file" ? entry.whole() : undefined;
    if (whole) return placing(entry, spot, () => placeFile(spot, attributes, whole));
    const kind =
      node !== undefined ? "node" : entry.type === "file" || entry.type === "directory" ? entry.type : "symlink";
    const full = { ...attributes, mode: attributes.mode | (node ?? 0) };
    const fd = placing(entry, spot, () => place(spot, kind, full, bytesOf(entry.linkName)));
    try {
      if (kind === "file") for await (const piece of entry.body) writeBlocking(fd, piece);
      setAttributes(fd, attributes);
    } finally {
      closeSync(fd);
    }
    if (kind === "directory") this.#directories.set(parts.join("/"), { parts, attributes });
  }

  finish(): void {
    for (const { parts, attributes } of this.#directories.values())
      setAttributes(this.#parents.open(parts), attributes);
  }

  [Symbol.dispose](): void {
    this.#parents[Symbol.dispose]();
  }
}

/** @throws in Docker's words what `keepKinds` refuses */
function placing<T>({ name }: TarEntry, { keepKinds }: Spot, act: () => T): T {
  try {
    return act();
  } catch (cause) {
    if (keepKinds && hasCode(cause, "EISDIR"))
      throw invalid(`cannot overwrite directory "${name}" with non-directory`, { cause });
    if (keepKinds && hasCode(cause, "ENOTDIR"))
      throw invalid(`cannot overwrite non-directory "${name}" with directory`, { cause });
    throw cause;
  }
}

/** Unpacks a plain tar. What is there and is not named stays. @throws corrupt, invalid, SystemError; what was unpacked before stays then */
export async function untar(tar: Bytes | Portions, place: UntarPlace, options: UntarOptions = {}): Promise<void> {
  using work = new Untar(place, options);
  for await (const entry of readTar(tar, "latin1")) await work.take(entry);
  work.finish();
}
