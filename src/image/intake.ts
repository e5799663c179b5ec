/** Images that come from files rather than a registry. */

import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { Readable } from "node:stream";
import { type Digest, digestOf } from "../base/digest.ts";
import { corrupt, invalid } from "../base/errors.ts";
import type { Descriptor } from "../base/oci.ts";
import type { Reference } from "../base/reference.ts";
import { type Bytes, bytesOf } from "../base/streams.ts";
import { together } from "../base/together.ts";
import type { ContentStore } from "../store/content.ts";
import type { Layers } from "../store/layers.ts";
import type { EarlyLayers } from "./early-layers.ts";
import { parseConfig } from "./manifest.ts";
import { measured } from "./pull.ts";
import type { ImageRecords } from "./records.ts";
import type { Sweeper } from "./sweep.ts";

/** A manifest or index. */
export interface Document {
  readonly digest: Digest;
  readonly bytes: Uint8Array;
}

export interface LocalLayer {
  /** A file: a tar, plain or compressed. */
  readonly path: string;
  /** Whether the file is nobody's afterwards. */
  readonly given?: boolean;
  /** What a manifest says of the file; nobody has verified it yet. */
  readonly blob?: Descriptor;
}

export interface LocalImage {
  /** The configuration's bytes; their digest is the image's id. */
  readonly config: Uint8Array;
  /** Bottom first. */
  readonly layers: readonly LocalLayer[];
  readonly references: readonly Reference[];
  /** That led to the image, verified, the one first that was named; kept with it. */
  readonly documents: readonly Document[];
}

export interface IntakeOptions {
  readonly signal?: AbortSignal | undefined;
  /** Counts the bytes of a layer's file, `total` in all. Called for layers that are new. */
  readonly onLayer?: ((diffId: Digest, total: number, bytes: number) => void) | undefined;
  /** Images that came in the same archive. */
  readonly beside?: readonly Digest[];
  /** Layers that were begun while the archive came. */
  readonly early?: EarlyLayers;
}

/** A layer with its name. */
interface Named extends LocalLayer {
  readonly diffId: Digest;
}

const chunkBytes = 1 << 20;
const readFrom = (path: string, start: number): Bytes =>
  // What node calls a web stream is one, under another name.
  Readable.toWeb(createReadStream(path, { start, highWaterMark: chunkBytes })) as unknown as Bytes;

export class Intake {
  constructor(
    readonly content: ContentStore,
    readonly layers: Layers,
    readonly records: ImageRecords,
    readonly sweeper: Sweeper,
  ) {}

  /** Makes the image present. Idempotent. @throws corrupt, invalid, or the signal's reason; nothing is left then */
  async add(image: LocalImage, options: IntakeOptions = {}): Promise<Digest> {
    const id = digestOf(image.config);
    const { os, architecture, variant, rootfs } = parseConfig(image.config);
    if (os !== "linux") throw invalid(`cannot load ${JSON.stringify(os.slice(0, 50))} image on "linux"`);
    const layers = namedLayers(image, rootfs.diff_ids);
    // A plain layer is its own raw tar, which is kept anyway; a manifest of nothing else says no more than the configuration.
    const kept = layers.flatMap(({ diffId, path, blob }) =>
      blob === undefined || blob.digest === diffId ? [] : [{ diffId, path, blob }],
    );
    const documents = kept.length > 0 ? image.documents : [];
    const blobs = [id, ...documents.map(({ digest }) => digest), ...kept.map(({ blob }) => blob.digest)];
    const files = { blobs, layers: rootfs.diff_ids };
    try {
      using _ = await this.sweeper.hold(files);
      await together(...layers.map((layer) => this.#unpack(layer, options)), ...kept.map((layer) => this.#keep(layer)));
      for (const { digest, bytes } of [...documents, { digest: id, bytes: image.config }])
        await this.content.put({ digest, size: bytes.byteLength }, async () => ({ start: 0, body: bytesOf(bytes) }));
      this.records.put({
        id,
        layers: await measured(this.layers, rootfs.diff_ids),
        manifests: documents.map(({ digest }) => digest),
        references: [...image.references, ...digestsOf(image.references, documents)],
        blobs: kept.map(({ diffId, blob }) => ({ diffId, blob })),
        platform: { os, architecture, ...(variant !== undefined && { variant }) },
        beside: options.beside ?? [],
      });
    } catch (error) {
      await this.sweeper.discard(files).catch(() => {});
      throw error;
    }
    return id;
  }

  async #unpack({ diffId, path, given = false }: Named, { signal, onLayer, early }: IntakeOptions): Promise<void> {
    signal?.throwIfAborted();
    if (await this.layers.has(diffId)) return;
    const { size } = await stat(path);
    const onProgress = (bytes: number) => onLayer?.(diffId, size, bytes);
    onProgress(0);
    if (await early?.take(path, diffId, onProgress)) onProgress(size);
    else await this.layers.unpack(path, diffId, { onProgress, signal, given });
  }

  /** Keeps the compressed layer. @throws corrupt when it is not what its descriptor says */
  async #keep({ path, blob }: Required<Pick<LocalLayer, "path" | "blob">>): Promise<void> {
    const open = async (offset: number) => ({ start: offset, body: readFrom(path, offset) });
    await this.content.put(blob, open, { durable: false });
  }
}

/** A name that meant a document means it by its digest, too. */
const digestsOf = (names: readonly Reference[], [named]: readonly Document[]): readonly Reference[] =>
  named ? names.map(({ domain, path }) => ({ domain, path, digest: named.digest })) : [];

/** Each layer once, though an image may have it several times. @throws corrupt when there are too many files or too few */
function namedLayers({ layers }: LocalImage, diffIds: readonly Digest[]): readonly Named[] {
  if (diffIds.length !== layers.length)
    throw corrupt(`invalid manifest, layers length mismatch: expected ${diffIds.length}, got ${layers.length}`);
  const named = new Map<Digest, Named>();
  for (const [index, layer] of layers.entries()) {
    const diffId = diffIds[index];
    if (diffId !== undefined && !named.has(diffId)) named.set(diffId, { ...layer, diffId });
  }
  return [...named.values()];
}
