/**
 * Layers that are made while their archive still arrives. What a file is, only a document behind it tells; so every large file is unpacked as if it
 * were a layer, out of sight. What then turns out to be one is kept, and the rest goes.
 */

import { type Digest, isDigest } from "../base/digest.ts";
import type { Semaphore } from "../base/semaphore.ts";
import type { Layers, StagedLayer } from "../store/layers.ts";
import { Arrival } from "../wasm/arrival.ts";
import type { ArchiveFile } from "./archive.ts";

/** A smaller file is unpacked in no time once it is known to be a layer, bytes. */
const worthwhile = 4 << 20;
/** Of one archive. Each holds a file descriptor, and directories of layers that may be none. */
const mostLayers = 128;
/** A tar that is larger than so many times its file waits until somebody asks for it: it may be no layer, but a bomb. */
const largestRatio = 32;

interface Early {
  readonly arrival: Arrival;
  /** Undefined when it came to nothing: whoever needs the layer makes it of the whole file, and learns why. */
  readonly staged: Promise<StagedLayer | undefined>;
  readonly stop: AbortController;
  isBegun: boolean;
  onProgress: (bytes: number) => void;
}

/** Names of plain layers in an OCI layout, and in what skopeo writes. */
const digestIn = (name: string): string => `sha256:${/([0-9a-f]{64})(\.tar)?$/.exec(name)?.[1] ?? ""}`;

export class EarlyLayers implements AsyncDisposable {
  readonly #layers = new Map<string, Early>();

  /**
   * @param places  of layers that are made at a time, in all archives together: an archive that stops coming holds its place
   * @param signal  of the archive's client
   */
  constructor(
    readonly layers: Layers,
    readonly places: Semaphore,
    readonly signal: AbortSignal | undefined,
  ) {}

  /** To be called when a file begins. @returns where to tell how it comes; undefined when nobody waits for it */
  async begin({ name, path, size }: ArchiveFile): Promise<Arrival | undefined> {
    if (size < worthwhile || this.#layers.size >= mostLayers) return undefined;
    const digest = digestIn(name);
    if (isDigest(digest) && (await this.layers.has(digest))) return undefined; // it says so itself
    const early = this.#open(path, size);
    this.#layers.set(path, early);
    return early.arrival;
  }

  #open(path: string, size: number): Early {
    const stop = new AbortController();
    const arrival = new Arrival();
    const signal = this.signal ? AbortSignal.any([this.signal, stop.signal]) : stop.signal;
    const stage = async (): Promise<StagedLayer | undefined> => {
      using _ = await this.places.acquire(signal);
      const arriving = await arrival.begun;
      if (!arriving) return undefined;
      early.isBegun = true;
      return await this.layers.stage(path, {
        arriving: { memory: arriving.memory, size },
        given: true,
        maxTarBytes: size * largestRatio,
        signal,
        onProgress: (bytes) => early.onProgress(bytes),
      });
    };
    const early: Early = {
      arrival,
      staged: Promise.resolve()
        .then(stage)
        .catch(() => undefined),
      stop,
      isBegun: false,
      onProgress: () => {},
    };
    return early;
  }

  /**
   * Makes a file of the archive the layer that it is said to be, if that has begun.
   * @param onProgress  counts bytes of the file
   * @returns           whether the layer is there
   */
  async take(path: string, diffId: Digest, onProgress: (bytes: number) => void): Promise<boolean> {
    const early = this.#layers.get(path);
    if (!early) return false;
    if (!early.isBegun) early.stop.abort(); // it would wait for other archives
    early.onProgress = onProgress;
    const staged = await early.staged;
    if (staged?.diffId !== diffId) return false;
    await staged.keep();
    return true;
  }

  /** Ends what is still being made, and drops what nobody took. */
  async [Symbol.asyncDispose](): Promise<void> {
    for (const { stop } of this.#layers.values()) stop.abort();
    for (const { staged, arrival } of this.#layers.values()) {
      arrival.abandon();
      await (await staged)?.[Symbol.asyncDispose]();
      arrival[Symbol.dispose]();
    }
  }
}
