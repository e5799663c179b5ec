/** One layer on its way to a registry. */

import type { Digest } from "../base/digest.ts";
import { BosunError, corrupt } from "../base/errors.ts";
import { shortId } from "../base/ids.ts";
import type { Descriptor } from "../base/oci.ts";
import type { Reference } from "../base/reference.ts";
import type { Semaphore } from "../base/semaphore.ts";
import type { Access, PushOptions, Registry } from "../registry/registry.ts";
import type { CompressionMethod } from "../wasm/compress.ts";
import { blobBody, Damaged } from "./blob-body.ts";
import type { LayerBlobs } from "./layer-blobs.ts";
import { isForeign, methodOf } from "./layer-types.ts";
import { counter, type OnProgress } from "./progress.ts";
import type { ImageRecords } from "./records.ts";

export interface PushContext {
  readonly registry: Registry;
  readonly records: ImageRecords;
  readonly blobs: LayerBlobs;
  readonly uploads: Semaphore;
  readonly repository: Reference;
  readonly access: Access;
  readonly onProgress: OnProgress;
  /** Of a layer that has to be compressed. */
  readonly compression: CompressionMethod;
  /** Whether layers that are compressed otherwise will not do. */
  readonly isStrict: boolean;
}

/** A layer may be known by many blobs, and a blob in many repositories: so many of each are asked for. */
const mostCandidates = 4;
const mostMounts = 3;

export class LayerPush {
  readonly #id: string;

  /** @param wanted  the blob that the image's manifest names, if it has one */
  constructor(
    readonly context: PushContext,
    readonly diffId: Digest,
    readonly wanted: Descriptor | undefined,
  ) {
    this.#id = shortId(diffId);
  }

  /** Makes the layer part of the repository. @returns the blob as which it is there */
  async run(): Promise<Descriptor> {
    const { uploads, access, records, repository } = this.context;
    if (this.wanted && isForeign(this.wanted)) {
      this.#say("Skipped foreign layer");
      return this.wanted;
    }
    if (uploads.isFull) this.#say("Waiting");
    using _ = await uploads.acquire(access.signal);
    const placed = (await this.#place()) ?? (await this.#make());
    records.addRepository(placed.digest, repository);
    return placed;
  }

  #say(status: string): void {
    this.context.onProgress({ id: this.#id, status, detail: {} });
  }

  /** The manifest's own blob first, then others by which the layer is known. */
  #candidates(): readonly Descriptor[] {
    const { records, isStrict, compression } = this.context;
    const known = records.blobsOf(this.diffId).filter(({ digest }) => digest !== this.wanted?.digest);
    return [...(this.wanted ? [this.wanted] : []), ...known]
      .filter((blob) => !isForeign(blob) && (!isStrict || methodOf(blob.mediaType) === compression))
      .slice(0, mostCandidates);
  }

  /** @returns undefined when nobody has the bytes of any blob of this layer */
  async #place(): Promise<Descriptor | undefined> {
    const { registry, repository, access, blobs } = this.context;
    for (const candidate of this.#candidates()) {
      if (await registry.hasBlob(repository, candidate, access)) {
        this.#say("Layer already exists");
        return candidate;
      }
      if (await this.#mount(candidate)) return candidate;
      const blob = await blobs.find(candidate);
      if (blob && (await this.#send(candidate, blob.path))) return candidate;
    }
    return undefined;
  }

  async #mount(blob: Descriptor): Promise<boolean> {
    const { registry, records, repository, access } = this.context;
    const others = records
      .repositoriesOf(blob.digest, repository.domain)
      .filter(({ path }) => path !== repository.path);
    for (const from of others.slice(0, mostMounts)) {
      // Who may not read the other repository sends the blob instead.
      const isMounted = await registry.mountBlob(repository, blob, from, access).catch((error: unknown) => {
        if (!(error instanceof BosunError)) throw error;
        return false;
      });
      if (!isMounted) continue;
      this.#say(`Mounted from ${from.path}`);
      return true;
    }
    return false;
  }

  async #make(): Promise<Descriptor> {
    const { registry, repository, access, blobs, compression } = this.context;
    const made = await blobs.make(this.diffId, compression, { signal: access.signal });
    if (await registry.hasBlob(repository, made, access)) {
      this.#say("Layer already exists");
      return made;
    }
    const blob = await blobs.find(made);
    if (blob && (await this.#send(made, blob.path))) return made;
    throw corrupt(`Cannot push ${made.digest}: it was damaged as soon as it was made`);
  }

  /** @returns false when the blob is damaged; it is gone then */
  async #send(blob: Descriptor, path: string): Promise<boolean> {
    const { registry, repository, access, onProgress, blobs } = this.context;
    const total = blob.size;
    const count = counter(
      (current) => onProgress({ id: this.#id, status: "Pushing", detail: { current, total } }),
      total,
    );
    try {
      await sendFile(registry, repository, blob, path, { ...access, onProgress: count });
    } catch (error) {
      if (!(error instanceof Damaged)) throw error;
      await blobs.drop(blob);
      return false;
    }
    this.#say("Pushed");
    return true;
  }
}

/** Sends a file as a blob, and looks at what it sends. @throws corrupt when that is not the blob */
export const sendFile = (
  registry: Registry,
  repository: Reference,
  blob: Pick<Descriptor, "digest" | "size">,
  path: string,
  options: PushOptions,
): Promise<void> => registry.pushBlob(repository, blob, (start) => blobBody(path, blob, { start }), options);
