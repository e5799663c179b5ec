/**
 * `docker save`: images as one tar that is both an OCI layout and what `docker load` has always read; layout.ts has what it says.
 *
 * An image whose manifest and compressed layers are all here is saved as it came, digest for digest; any other with a manifest of its own, of
 * compressed layers where they are here and of raw tars where not. Kept blobs are a cache, so they are hashed before the first byte goes out. The
 * same images give the same bytes: blobs in the order of their digests, each once, everything of 1970.
 */

import { open } from "node:fs/promises";
import { type Digest, digestOf } from "../base/digest.ts";
import { corrupt, internal } from "../base/errors.ts";
import { digestOfFile } from "../base/files.ts";
import { ociConfig, ociLayer, ociManifest } from "../base/media-types.ts";
import type { Descriptor, Platform } from "../base/oci.ts";
import { familiarReference, parseIdOrReference, type Reference } from "../base/reference.ts";
import { type Bytes, finished } from "../base/streams.ts";
import { tarEnd, tarHeader, tarPadding } from "../base/tar.ts";
import type { ContentStore } from "../store/content.ts";
import type { Layers } from "../store/layers.ts";
import { keptDocuments } from "./documents.ts";
import { inFamily } from "./layer-types.ts";
import { type Content, filesOf, jsonBytes, type Layout, type Saved } from "./layout.ts";
import type { Lookup } from "./lookup.ts";
import { parseConfig } from "./manifest.ts";
import type { ImageRecord, ImageRecords } from "./records.ts";
import type { Sweeper } from "./sweep.ts";

/**
 * What names mean to `docker save`: a tag itself, a repository all of its tags, an id or a digest the image without a name.
 * @throws notFound, invalid
 */
export async function savedBy(
  lookup: Lookup,
  names: readonly string[],
  platforms: readonly Platform[] | undefined,
): Promise<readonly Saved[]> {
  const tags = new Map<ImageRecord["id"], { readonly record: ImageRecord; readonly tags: Set<Reference> }>();
  const add = (record: ImageRecord, tag?: Reference) => {
    const entry = tags.get(record.id) ?? { record, tags: new Set() };
    tags.set(record.id, entry);
    const known = tag && [...entry.tags].some((one) => familiarReference(one) === familiarReference(tag));
    if (tag && !known) entry.tags.add(tag);
  };
  for (const [name, tag] of names.flatMap((name) => namesOf(lookup, name)))
    if (platforms === undefined) for (const record of lookup.all(name)) add(record, tag);
    else for (const platform of platforms) add(await lookup.pick(name, platform), tag);
  const isChosen = platforms !== undefined;
  return [...tags.values()].map(({ record, tags: own }) => ({ record, tags: [...own], isChosen }));
}

function namesOf(lookup: Lookup, name: string): readonly (readonly [name: string, tag?: Reference])[] {
  const asked = parseIdOrReference(name);
  if ("id" in asked || asked.reference.digest !== undefined) return [[name]];
  if (asked.reference.tag !== undefined) return [[name, asked.reference]];
  const tags = lookup.tagsOf(asked.reference);
  return tags.length > 0 ? tags.map((tag) => [familiarReference(tag), tag] as const) : [[name]];
}

const sizeOf = (content: Content): number => ("path" in content ? content.size : content.byteLength);

/** Bytes that are read, and handed on, at a time. */
const CHUNK = 1 << 20;

export class Saver {
  constructor(
    readonly content: ContentStore,
    readonly layers: Layers,
    readonly records: ImageRecords,
    readonly sweeper: Sweeper,
  ) {}

  /**
   * Everything that can be wrong is found before this returns, except for a raw tar that is damaged: the stream fails at its end then.
   * @returns the archive; the images' files stay until it is read or cancelled
   * @throws  corrupt, notFound for an image whose files are gone
   */
  async save(images: readonly Saved[]): Promise<Bytes> {
    using undo = new DisposableStack();
    for (const { record } of images)
      undo.use(
        await this.sweeper.hold({
          blobs: [record.id, ...this.records.manifestsOf(record.id)],
          layers: record.layers.map(({ diffId }) => diffId),
        }),
      );
    const layouts: (readonly [Saved, Layout])[] = [];
    for (const saved of images) layouts.push([saved, await this.#layout(saved.record, undo)]);
    const holds = undo.move();
    return finished(streamOf(tarChunks(filesOf(layouts))), () => holds.dispose());
  }

  async #layout(record: ImageRecord, holds: DisposableStack): Promise<Layout> {
    const blob = await this.content.get(record.id);
    const bytes = await Bun.file(blob.path).bytes();
    if (digestOf(bytes) !== record.id) throw corrupt(`Cannot save ${record.id}: its configuration is damaged`);
    const { os, architecture, variant } = parseConfig(bytes);
    const platform = { architecture, os, ...(variant !== undefined && { variant }) };
    const parts = { platform, config: record.id };
    return (await this.#asItCame(record, bytes, parts, holds)) ?? (await this.#ofLayers(record, bytes, parts, holds));
  }

  /** @returns undefined when anything is missing or damaged */
  async #asItCame(
    { id }: ImageRecord,
    config: Uint8Array,
    parts: Pick<Layout, "platform" | "config">,
    holds: DisposableStack,
  ): Promise<Layout | undefined> {
    const { manifests, indexes } = await keptDocuments(this.content, this.records, id);
    for (const { descriptor, bytes, manifest } of manifests) {
      const layers = manifest.layers.map(({ digest }) => digest);
      holds.use(await this.sweeper.hold({ blobs: layers }));
      const blobs = new Map<Digest, Content>([
        [descriptor.digest, bytes],
        [id, config],
      ]);
      for (const layer of manifest.layers) {
        const found = blobs.get(layer.digest) ?? (await this.#intact(layer));
        if (found) blobs.set(layer.digest, found);
      }
      if (layers.every((digest) => blobs.has(digest)))
        return { ...parts, manifest: descriptor, indexes, layers, blobs };
    }
    return undefined;
  }

  async #intact({ digest, size }: Descriptor): Promise<Content | undefined> {
    const blob = await this.content.find(digest);
    if (blob?.size !== size) return undefined;
    const actual = await digestOfFile(blob.path).catch(() => undefined);
    return actual === digest ? { ...blob, digest } : undefined;
  }

  /** @returns a compressed form of a layer that is here and sound, or its raw tar */
  async #layer(diffId: Digest, holds: DisposableStack): Promise<readonly [Descriptor, Content]> {
    const kept = this.records.blobsOf(diffId).toSorted((one, other) => (one.digest < other.digest ? -1 : 1));
    holds.use(await this.sweeper.hold({ blobs: kept.map(({ digest }) => digest) }));
    for (const { digest, size, mediaType } of kept) {
      const found = await this.#intact({ digest, size, mediaType });
      if (found) return [inFamily("oci", { digest, size, mediaType }), found];
    }
    const { path, size } = await this.layers.tar(diffId);
    return [
      { mediaType: ociLayer, digest: diffId, size },
      { path, size, digest: diffId },
    ];
  }

  async #ofLayers(
    record: ImageRecord,
    config: Uint8Array,
    parts: Pick<Layout, "platform" | "config">,
    holds: DisposableStack,
  ) {
    const blobs = new Map<Digest, Content>([[record.id, config]]);
    const layers: Descriptor[] = [];
    for (const { diffId } of record.layers) {
      const [descriptor, content] = await this.#layer(diffId, holds);
      blobs.set(descriptor.digest, content);
      layers.push(descriptor);
    }
    const manifest = jsonBytes({
      schemaVersion: 2,
      mediaType: ociManifest,
      config: { mediaType: ociConfig, digest: record.id, size: config.byteLength },
      layers,
    });
    const descriptor = { mediaType: ociManifest, digest: digestOf(manifest), size: manifest.byteLength };
    blobs.set(descriptor.digest, manifest);
    return { ...parts, manifest: descriptor, indexes: [], layers: layers.map(({ digest }) => digest), blobs };
  }
}

/** @throws corrupt at the end when a file is not what it should be */
async function* fileChunks({ path, size, digest }: Exclude<Content, Uint8Array>): AsyncGenerator<Uint8Array> {
  await using file = await open(path, "r");
  const hash = new Bun.CryptoHasher("sha256");
  for (let at = 0; at < size; ) {
    const room = Buffer.allocUnsafeSlow(Math.min(CHUNK, size - at));
    const { bytesRead } = await file.read(room, 0, room.byteLength, at);
    if (bytesRead === 0) throw corrupt(`Cannot save ${digest}: ${path} ends after ${at} of ${size} bytes`);
    const piece = room.subarray(0, bytesRead);
    hash.update(piece);
    at += bytesRead;
    yield piece;
  }
  const actual = `sha256:${hash.digest("hex")}`;
  if (actual !== digest) throw corrupt(`Cannot save ${digest}: ${path} is damaged: it is ${actual}`);
}

async function* tarChunks(files: readonly (readonly [string, Content])[]): AsyncGenerator<Uint8Array> {
  for (const [name, content] of files) {
    const size = sizeOf(content);
    if (Buffer.byteLength(name) > 99) throw internal(`Cannot save ${name}: the name is too long`);
    yield tarHeader({ name, size, mode: 0o644 });
    if ("path" in content) yield* fileChunks(content);
    else yield content;
    if (size % 512 !== 0) yield tarPadding(size);
  }
  yield tarEnd;
}

/** A generator as a stream that is read at the reader's pace. */
function streamOf(chunks: AsyncGenerator<Uint8Array>): Bytes {
  return new ReadableStream<Uint8Array>(
    {
      async pull(out) {
        const { done, value } = await chunks.next();
        if (done) out.close();
        else out.enqueue(value);
      },
      async cancel() {
        await chunks.return(undefined);
      },
    },
    { highWaterMark: 0 },
  );
}
