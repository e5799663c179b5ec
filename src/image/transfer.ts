/**
 * Layers on their way: each is unpacked while it is downloaded, or as soon as it can be. Pulls that need the same layer at the same time share the work, which
 * goes on until the last of them has lost interest.
 */

import type { Digest } from "../base/digest.ts";
import { BosunError, hasCode, kindOf } from "../base/errors.ts";
import { shortId } from "../base/ids.ts";
import type { Descriptor } from "../base/oci.ts";
import type { Reference } from "../base/reference.ts";
import { Semaphore } from "../base/semaphore.ts";
import type { Access, Registry } from "../registry/registry.ts";
import { pause } from "../registry/transport.ts";
import type { Blob, ContentStore } from "../store/content.ts";
import type { Layers, UnpackOptions } from "../store/layers.ts";
import { Arrival } from "../wasm/arrival.ts";
import { counter, type OnProgress, type Progress } from "./progress.ts";

export interface TransferLimits {
  readonly maxConcurrentDownloads: number;
  /** Of layers that are here. Those that are still on their way come on top: they mostly wait. */
  readonly maxConcurrentUnpacks: number;
  /** How often a layer's download is begun without getting any further. */
  readonly attempts: number;
  /** Wait before the second attempt; it doubles each time. */
  readonly backoffMs: number;
}

export const defaultTransferLimits: TransferLimits = {
  maxConcurrentDownloads: 3,
  maxConcurrentUnpacks: Math.max(2, navigator.hardwareConcurrency),
  attempts: 5,
  backoffMs: 1000,
};

export interface LayerSource {
  readonly repository: Reference;
  readonly blob: Descriptor;
  readonly diffId: Digest;
}

interface Shared {
  readonly done: Promise<void>;
  readonly stop: AbortController;
  readonly listeners: Set<OnProgress>;
  last?: Progress;
}

type Job = LayerSource & {
  readonly access: Access;
  readonly signal: AbortSignal;
  readonly report: OnProgress;
  readonly arrival: Arrival | undefined;
};

/** A smaller blob has come before anybody could have begun with it, bytes. */
const worthwhile = 4 << 20;

const isDiskFull = (error: unknown): boolean =>
  error instanceof BosunError && hasCode(error.cause, "ENOSPC", "EDQUOT", "EFBIG");

/** @returns whether a later attempt may get further: what broke is the way to the registry, not the disk. */
export const mayPass = (error: unknown): boolean => kindOf(error) === "unavailable" && !isDiskFull(error);

export class Transfers {
  readonly #downloads: Semaphore;
  readonly #unpacks: Semaphore;
  readonly #arriving: Semaphore;
  readonly #running = new Map<string, Shared>();

  constructor(
    readonly registry: Registry,
    readonly content: ContentStore,
    readonly layers: Layers,
    readonly limits: TransferLimits,
  ) {
    this.#downloads = new Semaphore(limits.maxConcurrentDownloads);
    this.#unpacks = new Semaphore(limits.maxConcurrentUnpacks);
    this.#arriving = new Semaphore(Math.min(limits.maxConcurrentDownloads, limits.maxConcurrentUnpacks));
  }

  /**
   * Makes a layer present. The blob stays in the content store.
   * @throws the signal's reason; nothing runs on for this caller then. What download or unpacking failed with.
   */
  async fetch(source: LayerSource, access: Access, onProgress: OnProgress): Promise<void> {
    const { signal } = access;
    // A function of its own, so that two calls with one callback are two listeners.
    const report: OnProgress = (progress) => onProgress(progress);
    const shared = this.#join(source, access);
    shared.listeners.add(report);
    if (shared.last) report(shared.last);
    const left = Promise.withResolvers<never>();
    const onAbort = () => left.reject(signal?.reason);
    signal?.addEventListener("abort", onAbort, { once: true });
    if (signal?.aborted) onAbort();
    try {
      await Promise.race([shared.done, left.promise]);
    } finally {
      signal?.removeEventListener("abort", onAbort);
      shared.listeners.delete(report);
      if (shared.listeners.size === 0) {
        shared.stop.abort(signal?.reason);
        await shared.done.catch(() => {});
      }
    }
  }

  #join(source: LayerSource, access: Access): Shared {
    const key = `${source.blob.digest} ${source.diffId}`;
    const running = this.#running.get(key);
    if (running && !running.stop.signal.aborted) return running;
    const stop = new AbortController();
    const listeners = new Set<OnProgress>();
    const report: OnProgress = (progress) => {
      shared.last = progress;
      for (const listener of listeners) listener(progress);
    };
    const { signal } = stop;
    const job = { ...source, access: { ...access, signal }, signal, report };
    // One that was stopped may still be closing its files.
    const before = running?.done.catch(() => {}) ?? Promise.resolve();
    const done = before
      .then(() => this.#run(job))
      .finally(() => {
        if (this.#running.get(key) === shared) this.#running.delete(key);
      });
    const shared: Shared = { done, stop, listeners };
    this.#running.set(key, shared);
    return shared;
  }

  async #run(order: Omit<Job, "arrival">): Promise<void> {
    const { blob, signal, report } = order;
    using arrival = blob.size < worthwhile ? undefined : new Arrival();
    const job = { ...order, arrival };
    const id = shortId(blob.digest);
    if (this.#downloads.isFull) report({ id, status: "Waiting", detail: {} });
    let shown = (_: number) => {};
    const early = arrival && this.#unpackArriving(job, arrival, (bytes) => shown(bytes));
    early?.catch(() => {}); // looked at when the download is over
    const { path } = await this.#download(job, id).catch(async (error) => {
      arrival?.abandon();
      await early?.catch(() => {});
      throw error;
    });
    arrival?.complete();
    report({ id, status: "Download complete", detail: {} });
    const total = blob.size;
    shown = counter((current) => report({ id, status: "Extracting", detail: { current, total } }), total);
    shown(0);
    if (!(await early)) await this.#unpack(this.#unpacks, job, path, { onProgress: shown, signal });
    shown(total);
    report({ id, status: "Pull complete", detail: {} });
  }

  async #unpack(places: Semaphore, { diffId, signal }: Job, path: string, options: UnpackOptions): Promise<void> {
    using _ = await places.acquire(signal);
    await this.layers.unpack(path, diffId, options);
  }

  /** @returns whether the layer was made of what arrived; otherwise it has to be made of the whole blob */
  async #unpackArriving(job: Job, arrival: Arrival, onProgress: (bytes: number) => void): Promise<boolean> {
    const arriving = await arrival.begun;
    if (!arriving) return false;
    const { memory, path } = arriving;
    const options = { onProgress, signal: job.signal, arriving: { memory, size: job.blob.size } };
    return this.#unpack(this.#arriving, job, path, options).then(
      () => true,
      (error) => {
        if (kindOf(error) === "unavailable" && !isDiskFull(error)) return false; // what came was void
        throw error;
      },
    );
  }

  /** Goes on where the last attempt broke off; an attempt that got further counts as the first. */
  async #download(job: Job, id: string): Promise<Blob> {
    const { signal, report } = job;
    using _ = await this.#downloads.acquire(signal);
    let farthest = 0;
    for (let attempt = 1; ; attempt++) {
      let reached = 0;
      try {
        return await this.#put(job, id, (bytes) => {
          reached = Math.max(reached, bytes);
        });
      } catch (error) {
        signal.throwIfAborted();
        if (reached > farthest) attempt = 1;
        farthest = Math.max(farthest, reached);
        if (!mayPass(error) || attempt >= this.limits.attempts) throw error;
        const wait = this.limits.backoffMs * 2 ** (attempt - 1);
        const seconds = Math.ceil(wait / 1000);
        report({ id, status: `Retrying in ${seconds} second${seconds === 1 ? "" : "s"}`, detail: {} });
        await pause(wait, signal);
      }
    }
  }

  async #put(job: Job, id: string, onBytes: (bytes: number) => void): Promise<Blob> {
    const { repository, blob, access, signal, report, arrival } = job;
    const total = blob.size;
    const count = counter((current) => report({ id, status: "Downloading", detail: { current, total } }), total);
    let isVerifying = false;
    const verifying = () => {
      if (!isVerifying) report({ id, status: "Verifying Checksum", detail: {} });
      isVerifying = true;
    };
    const onProgress = (bytes: number) => {
      onBytes(bytes);
      count(bytes);
      if (bytes >= total) verifying();
    };
    const open = (offset: number) => this.registry.blob(repository, blob, offset, access);
    // It is a cache, which is verified when it is read: the layer is what has to survive.
    const stored = await this.content.put(blob, open, { onProgress, signal, arrival, durable: false });
    verifying();
    return stored;
  }
}
