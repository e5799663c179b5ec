/** `docker load`: the images of an archive, one after the other, told in Docker's words. */

import { mkdir, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import type { Digest } from "../base/digest.ts";
import { ifMissing } from "../base/errors.ts";
import { shortId } from "../base/ids.ts";
import type { Platform } from "../base/oci.ts";
import { familiarReference } from "../base/reference.ts";
import { Semaphore } from "../base/semaphore.ts";
import type { Bytes } from "../base/streams.ts";
import type { Layers } from "../store/layers.ts";
import { Archive, type ArchiveFile } from "./archive.ts";
import { readImages } from "./archive-images.ts";
import type { BombLimits } from "./decompression.ts";
import { EarlyLayers } from "./early-layers.ts";
import type { Intake, IntakeOptions, LocalImage } from "./intake.ts";
import { counter, type OnProgress } from "./progress.ts";
import type { ImageRecords } from "./records.ts";

export interface LoadOptions {
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: OnProgress | undefined;
  /** Only images for it; all of the archive unless given. */
  readonly platform?: Platform | undefined;
  /** Called with each line of output, as `Loaded image: x:tag`, without its newline. */
  readonly onLine?: ((line: string) => void) | undefined;
}

/** Counts the bytes of each layer that is new. */
function layerCounter(onProgress: OnProgress): NonNullable<IntakeOptions["onLayer"]> {
  const counters = new Map<Digest, (bytes: number) => void>();
  return (diffId, total, bytes) => {
    const id = shortId(diffId);
    const count =
      counters.get(diffId) ??
      counter((current) => onProgress({ id, status: "Loading layer", detail: { current, total } }), total);
    counters.set(diffId, count);
    count(bytes);
  };
}

/** Layers made at a time while archives arrive: of one that comes without a break, two keep up with it. */
const earlyPlaces = 2;

export class Loader {
  readonly #places = new Semaphore(earlyPlaces);

  /** @param scratch  a folder of its own for archives; made when missing */
  constructor(
    readonly intake: Intake,
    readonly records: ImageRecords,
    readonly layers: Layers,
    readonly scratch: string,
    readonly bombs: BombLimits,
  ) {}

  /** Removes the folder that a load left when it was interrupted by a crash. Called at start. */
  async sweep(): Promise<void> {
    const names = await readdir(this.scratch).catch(ifMissing([]));
    const ours = names.filter((name) => name.startsWith("new-load-"));
    await Promise.all(ours.map((name) => rm(join(this.scratch, name), { recursive: true, force: true })));
  }

  /**
   * Takes the images of a `docker save` archive or an OCI layout in a tar. Each is complete before the next begins.
   * @throws corrupt, invalid, or the signal's reason; images before the failing one stay
   */
  async load(tar: Bytes, options: LoadOptions & { readonly onImage: (id: Digest) => Promise<void> }): Promise<void> {
    await mkdir(this.scratch, { recursive: true, mode: 0o700 });
    await using early = new EarlyLayers(this.layers, this.#places, options.signal);
    const onFile = (file: ArchiveFile) => early.begin(file);
    await using archive = await Archive.spool(tar, this.scratch, { signal: options.signal, onFile, bombs: this.bombs });
    const loaded: Digest[] = [];
    const told = new Set<string>();
    const onLine = (line: string) => {
      if (!told.has(line)) options.onLine?.(line); // platforms of one name have it in common
      told.add(line);
    };
    for await (const image of readImages(archive, options.platform)) {
      const id = await this.#one(image, { beside: loaded, early }, { ...options, onLine });
      loaded.push(id);
      await options.onImage(id);
    }
  }

  async #one(
    image: LocalImage,
    { beside, early }: Required<Pick<IntakeOptions, "beside" | "early">>,
    { signal, onProgress, onLine = () => {} }: LoadOptions,
  ): Promise<Digest> {
    const before = image.references.map(
      (reference) => [reference, this.records.findByReference(reference)?.id] as const,
    );
    const onLayer = onProgress && layerCounter(onProgress);
    const id = await this.intake.add(image, { signal, onLayer, beside, early });
    for (const [reference, old] of before)
      if (old !== undefined && old !== id && !beside.includes(old))
        onLine(
          `The image ${familiarReference(reference)} already exists, renaming the old one with ID ${old} to empty string`,
        );
    for (const reference of image.references) onLine(`Loaded image: ${familiarReference(reference)}`);
    if (image.references.length === 0) onLine(`Loaded image ID: ${id}`);
    return id;
  }
}
