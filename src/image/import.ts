/** `docker import`: a tar of a root file system, from the client or from a URL, becomes an image of one layer. */

import { mkdir, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import type { Digest } from "../base/digest.ts";
import { newId } from "../base/ids.ts";
import type { Platform, RunConfig } from "../base/oci.ts";
import type { Reference } from "../base/reference.ts";
import type { Bytes } from "../base/streams.ts";
import type { Layers } from "../store/layers.ts";
import { applyChanges } from "./changes.ts";
import type { Committer } from "./commit.ts";
import { type BombLimits, mostUnpacked } from "./decompression.ts";
import { Spool } from "./spool.ts";

export interface ImportOptions {
  readonly reference: Reference | undefined;
  readonly message: string;
  /** Dockerfile instructions. */
  readonly changes: readonly string[];
  readonly platform: Platform;
  readonly signal?: AbortSignal | undefined;
}

async function* unlessAborted(bytes: Bytes, signal: AbortSignal | undefined): AsyncGenerator<Uint8Array> {
  for await (const piece of bytes) {
    signal?.throwIfAborted();
    yield piece;
  }
}

export class Importer {
  /** @param scratch  a folder for tars on their way; made when missing, swept with that of loads */
  constructor(
    readonly committer: Committer,
    readonly layers: Layers,
    readonly scratch: string,
    readonly bombs: BombLimits,
  ) {}

  /** @returns the image's id. @throws invalid, corrupt, or the signal's reason; nothing is left then */
  async import(tar: Bytes, { reference, message, changes, platform, signal }: ImportOptions): Promise<Digest> {
    const config: RunConfig = applyChanges({}, changes);
    await using spooled = await this.#spool(tar, signal);
    const image = {
      platform,
      layers: [],
      history: [],
      config,
      author: "",
      comment: message,
      createdBy: "",
      reference,
    };
    const maxTarBytes = mostUnpacked((await stat(spooled.path)).size, this.bombs);
    return await this.committer.commit(image, () =>
      this.layers.stage(spooled.path, { signal, given: true, maxTarBytes }),
    );
  }

  async #spool(tar: Bytes, signal: AbortSignal | undefined): Promise<AsyncDisposable & { readonly path: string }> {
    await mkdir(this.scratch, { recursive: true, mode: 0o700 });
    const path = join(this.scratch, `new-load-${newId().slice(0, 12)}`);
    await using undo = new AsyncDisposableStack();
    undo.defer(() => rm(path, { force: true }));
    await new Spool().write(path, unlessAborted(tar, signal));
    const cleanup = undo.move();
    return { path, [Symbol.asyncDispose]: () => cleanup.disposeAsync() };
  }
}
