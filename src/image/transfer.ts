/**
 * Layers on their way: download, then unpack, each as soon as it can. Pulls that need the same layer at the same time share the work, which
 * goes on until the last of them has lost interest.
 */

import type { Digest } from "../base/digest.ts";
import { BosunError, hasCode } from "../base/errors.ts";
import { shortId } from "../base/ids.ts";
import type { Descriptor } from "../base/oci.ts";
import type { Reference } from "../base/reference.ts";
import { Semaphore } from "../base/semaphore.ts";
import type { Access, Registry } from "../registry/registry.ts";
import { pause } from "../registry/transport.ts";
import type { Blob, ContentStore } from "../store/content.ts";
import type { Snapshotter } from "../store/snapshot.ts";
import { counter, type OnProgress, type Progress } from "./progress.ts";

export interface TransferLimits {
  readonly maxConcurrentDownloads: number;
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

type Job = LayerSource & { readonly access: Access; readonly signal: AbortSignal; readonly report: OnProgress };

/** @returns whether a later attempt may get further: what broke is the way to the registry, not the disk. */
export const mayPass = (error: unknown): boolean =>
  error instanceof BosunError && error.kind === "unavailable" && !hasCode(error.cause, "ENOSPC", "EDQUOT", "EFBIG");

export class Transfers {
  readonly #downloads: Semaphore;
  readonly #unpacks: Semaphore;
  readonly #running = new Map<string, Shared>();

  constructor(
    readonly registry: Registry,
    readonly content: ContentStore,
    readonly snapshotter: Snapshotter,
    readonly limits: TransferLimits,
  ) {
    this.#downloads = new Semaphore(limits.maxConcurrentDownloads);
    this.#unpacks = new Semaphore(limits.maxConcurrentUnpacks);
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
    const job = { ...source, access: { ...access, signal: stop.signal }, signal: stop.signal, report };
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

  async #run(job: Job): Promise<void> {
    const { blob, diffId, signal, report } = job;
    const id = shortId(blob.digest);
    if (this.#downloads.isFull) report({ id, status: "Waiting", detail: {} });
    const { path } = await this.#download(job, id);
    report({ id, status: "Download complete", detail: {} });
    using _ = await this.#unpacks.acquire(signal);
    const total = blob.size;
    const onProgress = counter((current) => report({ id, status: "Extracting", detail: { current, total } }), total);
    onProgress(0);
    await this.snapshotter.unpack(path, diffId, { onProgress, signal });
    onProgress(total);
    report({ id, status: "Pull complete", detail: {} });
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
    const { repository, blob, access, signal, report } = job;
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
    const stored = await this.content.put(blob, open, { onProgress, signal, durable: false });
    verifying();
    return stored;
  }
}
