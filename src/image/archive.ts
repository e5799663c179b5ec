/**
 * A tar of images, spooled to a folder in which its entries are files with numbers for names, so that no name or link in it can reach anything of
 * this machine. What the files mean: archive-images.ts.
 */

import { mkdtemp, rm } from "node:fs/promises";
import { join, posix } from "node:path";
import { type Digest, digestOf, hexOf } from "../base/digest.ts";
import { corrupt } from "../base/errors.ts";
import type { Descriptor } from "../base/oci.ts";
import type { Bytes } from "../base/streams.ts";
import type { Arrival } from "../wasm/arrival.ts";
import { type BombLimits, decompressed, defaultBombLimits } from "./decompression.ts";
import { Spool } from "./spool.ts";
import { readTar, type TarEntry } from "./tar.ts";

const mostEntries = 100_000;
/** A chain of links in an archive; Docker's layers of old need one. */
const mostLinks = 16;

interface Spooled {
  readonly path: string;
  readonly size: number;
}

/** A file of the archive that is about to be written. `size`: what the archive says, bytes. */
export interface ArchiveFile extends Spooled {
  /** Within the archive. */
  readonly name: string;
}

export interface SpoolOptions {
  readonly signal?: AbortSignal | undefined;
  /** Told of each file before it comes. @returns where to tell how it comes, if somebody waits for it */
  readonly onFile?: (file: ArchiveFile) => Promise<Arrival | undefined>;
  readonly bombs?: BombLimits;
}

type Node = Spooled | { readonly link: string };

/** @returns the name without `./` and the like; undefined for the archive's root. @throws corrupt when it leads out */
function normalName(name: string): string | undefined {
  const normal = posix.normalize(name).replace(/\/$/, "");
  if (name.includes("\0") || normal.startsWith("/") || normal === ".." || normal.startsWith("../"))
    throw corrupt(`Cannot read the archive: ${JSON.stringify(name.slice(0, 200))} leads out of it`);
  return normal === "." || normal === "" ? undefined : normal;
}

const blobName = (digest: Digest): string => `blobs/sha256/${hexOf(digest)}`;

export class Archive implements AsyncDisposable {
  readonly #nodes = new Map<string, Node>();
  readonly #spool = new Spool();

  private constructor(
    readonly folder: string,
    readonly options: SpoolOptions,
  ) {}

  /**
   * Spools an archive, plain or compressed with gzip, zstd, xz or bzip2.
   * @param scratch  where its folder is made, as `new-…`; dispose to remove it
   * @throws         corrupt, unavailable, or what the stream fails with; nothing is left then
   */
  static async spool(bytes: Bytes, scratch: string, options: SpoolOptions = {}): Promise<Archive> {
    await using undo = new AsyncDisposableStack();
    const archive = undo.use(new Archive(await mkdtemp(join(scratch, "new-load-")), options));
    const { bombs = defaultBombLimits } = options;
    let entries = 0;
    try {
      for await (const entry of readTar(await decompressed(bytes, join(archive.folder, "compressed"), bombs))) {
        options.signal?.throwIfAborted();
        if (++entries > mostEntries) throw corrupt(`Cannot read the archive: more than ${mostEntries} entries`);
        await archive.#add(entry, entries);
      }
    } catch (error) {
      // A decompressor says it with an error of its own.
      throw error instanceof TypeError ? corrupt(`Cannot read the archive: ${error.message}`, { cause: error }) : error;
    }
    undo.move();
    return archive;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.folder, { recursive: true, force: true });
  }

  async #add(entry: TarEntry, number: number): Promise<void> {
    const name = normalName(entry.name);
    if (name === undefined) return;
    if (entry.type === "symlink") this.#nodes.set(name, { link: posix.join(posix.dirname(name), entry.linkName) });
    if (entry.type === "hardlink") this.#nodes.set(name, { link: entry.linkName });
    if (entry.type !== "file") return;
    const path = join(this.folder, String(number));
    await this.#write({ name, path, size: entry.size }, entry.body);
    this.#nodes.set(name, { path, size: entry.size });
  }

  async #write(file: ArchiveFile, body: AsyncIterable<Uint8Array>): Promise<void> {
    const arrival = await this.options.onFile?.(file);
    try {
      await this.#spool.write(file.path, body, (bytes) => arrival?.advance(file.path, bytes));
      arrival?.complete();
    } catch (error) {
      arrival?.abandon();
      throw error;
    }
  }

  has(name: string): boolean {
    return this.#nodes.has(name);
  }

  /** @returns the file that a name of the archive leads to. @throws corrupt */
  file(name: string): Spooled {
    let current = normalName(name) ?? "";
    for (let hops = 0; hops <= mostLinks; hops++) {
      const node = this.#nodes.get(current);
      if (!node) throw corrupt(`Cannot read the archive: no file ${JSON.stringify(name.slice(0, 200))}`);
      if ("path" in node) return node;
      current = normalName(node.link) ?? "";
    }
    throw corrupt(`Cannot read the archive: too many links at ${JSON.stringify(name.slice(0, 200))}`);
  }

  async bytes(name: string, limit: number): Promise<Uint8Array> {
    const { path, size } = this.file(name);
    if (size > limit)
      throw corrupt(`Cannot read ${JSON.stringify(name.slice(0, 200))}: ${size} bytes, want at most ${limit}`);
    return Bun.file(path).bytes();
  }

  hasBlob({ digest }: Descriptor): boolean {
    return this.has(blobName(digest));
  }

  /** @returns the path of a blob of an OCI layout. Whoever takes it verifies its digest. @throws corrupt unless its size is the descriptor's */
  blobPath({ digest, size }: Descriptor): string {
    const file = this.file(blobName(digest));
    if (file.size !== size) throw corrupt(`Cannot read ${digest}: got ${file.size} of ${size} bytes`);
    return file.path;
  }

  /** @returns a document of an OCI layout, verified. @throws corrupt */
  async blobBytes(descriptor: Descriptor, limit: number): Promise<Uint8Array> {
    if (descriptor.size > limit)
      throw corrupt(`Cannot read ${descriptor.digest}: ${descriptor.size} bytes, want at most ${limit}`);
    const bytes = await Bun.file(this.blobPath(descriptor)).bytes();
    const actual = digestOf(bytes);
    if (actual !== descriptor.digest) throw corrupt(`Cannot read ${descriptor.digest}: got ${actual}`);
    return bytes;
  }
}
