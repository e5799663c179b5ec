/** The image room over fakes: everything a test of it needs, cleaned up at the end of the test's scope. */

import { expect } from "bun:test";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type ImageEvent, Images, type ImagesOptions } from "../../src/image/images.ts";
import type { Progress } from "../../src/image/progress.ts";
import type { ImageUser } from "../../src/image/removal.ts";
import { imageMigrations } from "../../src/image/schema.ts";
import { DistributionRegistry } from "../../src/registry/distribution.ts";
import type { Limits } from "../../src/registry/transport.ts";
import { Database } from "../../src/store/database.ts";
import { compress } from "../../src/wasm/compress.ts";
import { FakeContent } from "../fake/content.ts";
import { FakeRegistry } from "../fake/registry.ts";
import { FakeSnapshotter } from "../fake/snapshotter.ts";
import { streamOf } from "./archive.ts";
import { failureOf } from "./errors.ts";

/** Few attempts, one right after the other; each has all the time of an exchange, for the machine may be slow. */
export const brisk: Partial<Limits> = { attempts: 2, backoffMs: 5, longestWaitMs: 50 };
/** For those who say nothing: bounds that let a test of them end soon. */
export const impatient: Partial<Limits> = { ...brisk, headersMs: 400, commitMs: 400, idleMs: 400 };

export const registryWith = (limits: Partial<Limits>) => new DistributionRegistry({ userAgent: "Bosun/test", limits });

export class ImageRoom implements AsyncDisposable {
  readonly content = new FakeContent();
  readonly snapshotter = new FakeSnapshotter();
  readonly database = new Database(":memory:", imageMigrations);
  readonly events: ImageEvent[] = [];
  readonly progress: Progress[] = [];
  readonly users = new Map<string, readonly ImageUser[]>();
  readonly images: Images;

  private constructor(
    readonly registry: FakeRegistry,
    readonly scratch: string,
    options: Partial<ImagesOptions>,
  ) {
    this.images = new Images({
      database: this.database,
      content: this.content,
      snapshotter: this.snapshotter,
      registry: registryWith(brisk),
      emit: (event) => this.events.push(event),
      inUse: (id) => this.users.get(id) ?? [],
      scratch: this.scratch,
      compress: (job) => compress(job, { progress() {}, check() {} }),
      maxConcurrentUploads: 5,
      pushCompression: "gzip",
      platform: { os: "linux", architecture: "amd64" },
      ...options,
      limits: { backoffMs: 5, ...options.limits },
    });
  }

  static async open(options: Partial<ImagesOptions> = {}): Promise<ImageRoom> {
    return new ImageRoom(await FakeRegistry.start(), await mkdtemp(join(tmpdir(), "bosun-scratch-")), options);
  }

  readonly onProgress = (progress: Progress): void => {
    this.progress.push(progress);
  };

  /** Every line of progress that was told, without counts. */
  lines(): readonly string[] {
    return this.progress.map(({ id, status }) => (id === undefined ? status : `${id}: ${status}`));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.database.close();
    await this.registry[Symbol.asyncDispose]();
    await this.content[Symbol.asyncDispose]();
    await this.snapshotter[Symbol.asyncDispose]();
    await rm(this.scratch, { recursive: true, force: true });
  }
}

/** An archive that fails to load, of which nothing may be left anywhere. @returns why */
export async function failureOfLoad(bytes: Uint8Array): Promise<string> {
  await using room = await ImageRoom.open();
  const failure = await failureOf(() => room.images.load(streamOf(bytes)));
  expect(await readdir(room.scratch)).toEqual([]);
  expect(room.content.digests()).toEqual([]);
  expect(room.snapshotter.layers.size).toBe(0);
  expect(await room.images.list()).toEqual([]);
  return failure;
}
