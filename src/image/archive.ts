/**
 * Images in a tar: what `docker save` writes (manifest.json) and OCI layouts (index.json). The archive is spooled to a folder in which its
 * entries are files with numbers for names, so that no name or link in it can reach anything of this machine.
 * Source: moby image/spec v1.2, "Combined Image JSON + Filesystem Changeset Format"; OCI image-spec v1.1 image-layout.md.
 */

import { createHash } from "node:crypto";
import { mkdtemp, open, rm } from "node:fs/promises";
import { join, posix } from "node:path";
import { type Digest, hexOf } from "../base/digest.ts";
import { corrupt, invalid, notImplemented, toldOf } from "../base/errors.ts";
import type { Descriptor, Platform } from "../base/oci.ts";
import { parseReference, type Reference, withDefaultTag } from "../base/reference.ts";
import type { Bytes } from "../base/streams.ts";
import type { LocalImage } from "./intake.ts";
import { largestConfig, largestDocument, parseDocument } from "./manifest.ts";
import { chooseManifest } from "./platform.ts";
import { fields, list, parseJson, text } from "./shape.ts";
import { readTar, type TarEntry } from "./tar.ts";

const mostEntries = 100_000;
/** A chain of links in an archive; Docker's layers of old need one. */
const mostLinks = 16;

interface Spooled {
  readonly path: string;
  readonly size: number;
}

type Node = Spooled | { readonly link: string };

type PlainBytes = Uint8Array<ArrayBuffer>;

/** Decompressors take no shared memory. */
const unshared = (bytes: Uint8Array): PlainBytes => {
  const isPlain = (one: Uint8Array): one is PlainBytes => one.buffer instanceof ArrayBuffer;
  return isPlain(bytes) ? bytes : new Uint8Array(bytes);
};

/** The beginning of a stream, without taking it away. */
async function peeked(
  bytes: Bytes,
): Promise<{ readonly head: Uint8Array; readonly whole: ReadableStream<PlainBytes> }> {
  const reader = bytes.getReader();
  const first = await reader.read();
  const head = first.value ?? new Uint8Array();
  let isFirst = true;
  const whole = new ReadableStream<PlainBytes>(
    {
      async pull(out) {
        const next = isFirst ? first : await reader.read();
        isFirst = false;
        if (next.value) out.enqueue(unshared(next.value));
        if (next.done) out.close();
      },
      cancel: (reason) => reader.cancel(reason),
    },
    { highWaterMark: 0 },
  );
  return { head, whole };
}

const magics: readonly (readonly [string, "gzip" | "zstd" | "bzip2" | "xz"])[] = [
  ["1f8b", "gzip"],
  ["28b52ffd", "zstd"],
  ["425a68", "bzip2"],
  ["fd377a58", "xz"],
];

async function decompressed(bytes: Bytes): Promise<Bytes> {
  const { head, whole } = await peeked(bytes);
  const hex = Buffer.from(head.subarray(0, 4)).toString("hex");
  const format = magics.find(([magic]) => hex.startsWith(magic))?.[1];
  if (format === undefined) return whole;
  if (format === "gzip" || format === "zstd") return whole.pipeThrough(new DecompressionStream(format));
  throw notImplemented(`cannot load an archive that is compressed with ${format}: use gzip or zstd, or none`);
}

/** @returns the name without `./` and the like; undefined for the archive's root. @throws corrupt when it leads out */
function normalName(name: string): string | undefined {
  const normal = posix.normalize(name).replace(/\/$/, "");
  if (name.includes("\0") || normal.startsWith("/") || normal === ".." || normal.startsWith("../"))
    throw corrupt(`Cannot read the archive: ${JSON.stringify(name.slice(0, 200))} leads out of it`);
  return normal === "." || normal === "" ? undefined : normal;
}

export class Archive implements AsyncDisposable {
  readonly #nodes = new Map<string, Node>();

  private constructor(readonly folder: string) {}

  /**
   * Spools an archive, plain or compressed with gzip or zstd.
   * @param scratch  where its folder is made, as `new-…`; dispose to remove it
   * @throws         corrupt, notImplemented, or what the stream fails with; nothing is left then
   */
  static async spool(bytes: Bytes, scratch: string, signal?: AbortSignal): Promise<Archive> {
    await using undo = new AsyncDisposableStack();
    const archive = undo.use(new Archive(await mkdtemp(join(scratch, "new-load-"))));
    let entries = 0;
    try {
      for await (const entry of readTar(await decompressed(bytes))) {
        signal?.throwIfAborted();
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
    try {
      await using file = await open(path, "wx", 0o600);
      for await (const piece of entry.body) await file.writeFile(piece);
    } catch (error) {
      throw toldOf(path, error);
    }
    this.#nodes.set(name, { path, size: entry.size });
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

  /** @returns the path of a blob of an OCI layout, whose bytes are what the descriptor says. @throws corrupt */
  async blob({ digest, size }: Descriptor): Promise<string> {
    const file = this.file(`blobs/sha256/${hexOf(digest)}`);
    const actual = await digestOfFile(file.path);
    if (file.size !== size || actual !== digest)
      throw corrupt(`Cannot read ${digest}: got ${actual}, ${file.size} of ${size} bytes`);
    return file.path;
  }
}

async function digestOfFile(path: string): Promise<Digest> {
  const hash = createHash("sha256");
  for await (const piece of Bun.file(path).stream()) hash.update(piece);
  return `sha256:${hash.digest("hex")}`;
}

const dockerManifest = list(fields({ Config: text, RepoTags: list(text), Layers: list(text) }, ["Config", "Layers"]));

async function* readDockerArchive(archive: Archive): AsyncGenerator<LocalImage> {
  const manifest = parseJson(
    await archive.bytes("manifest.json", largestDocument),
    "manifest.json",
    largestDocument,
    dockerManifest,
  );
  for (const { Config, RepoTags = [], Layers } of manifest) {
    const config = await archive.bytes(Config, largestConfig);
    const references = RepoTags.map((tag) => withDefaultTag(parseReference(tag)));
    yield { config, layers: Layers.map((name) => archive.file(name).path), references };
  }
}

/** Tools differ: containerd writes the full name, others a name with its tag; a tag alone names nothing. */
function namesOf({ annotations = {} }: Descriptor): readonly Reference[] {
  const name = annotations["io.containerd.image.name"] ?? annotations["org.opencontainers.image.ref.name"];
  if (name === undefined || !/[:/]/.test(name)) return [];
  const reference = withDefaultTag(parseReference(name));
  return reference.digest === undefined ? [reference] : [];
}

async function readLayoutImage(archive: Archive, descriptor: Descriptor, platform: Platform): Promise<LocalImage> {
  if (descriptor.size > largestDocument) throw corrupt(`Cannot read ${descriptor.digest}: ${descriptor.size} bytes`);
  const bytes = await Bun.file(await archive.blob(descriptor)).bytes();
  const document = parseDocument(bytes, descriptor.mediaType);
  const references = namesOf(descriptor);
  if (document.kind === "index") {
    const chosen = chooseManifest(document.index, platform);
    if (chosen.mediaType === descriptor.mediaType)
      throw invalid("the image index names another index for this platform");
    return { ...(await readLayoutImage(archive, chosen, platform)), references };
  }
  const { config, layers } = document.manifest;
  if (config.size > largestConfig) throw corrupt(`Cannot read the image configuration: ${config.size} bytes`);
  const paths: string[] = [];
  for (const layer of layers) paths.push(await archive.blob(layer));
  return { config: await Bun.file(await archive.blob(config)).bytes(), layers: paths, references };
}

async function* readLayout(archive: Archive, platform: Platform): AsyncGenerator<LocalImage> {
  const document = parseDocument(await archive.bytes("index.json", largestDocument), "");
  if (document.kind !== "index") throw corrupt("Cannot read the archive: its index.json is no index");
  for (const descriptor of document.index.manifests) yield readLayoutImage(archive, descriptor, platform);
}

/**
 * @param platform  whose image is taken of an index
 * @returns         the images, in the archive's order
 * @throws          corrupt, invalid
 */
export function readImages(archive: Archive, platform: Platform): AsyncGenerator<LocalImage> {
  if (archive.has("manifest.json")) return readDockerArchive(archive);
  if (archive.has("index.json")) return readLayout(archive, platform);
  throw invalid("the archive has neither manifest.json nor index.json: it is no image");
}
