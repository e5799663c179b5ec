/** The image room over a real snapshotter, which tells of each layer that was made before anybody had asked for it. */

import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { buildShim } from "../../shim/shim.build.ts";
import { kindOf } from "../../src/base/errors.ts";
import type { ImagesOptions } from "../../src/image/images.ts";
import type { StagedLayer, StageOptions } from "../../src/store/layers.ts";
import { ErofsSnapshotter } from "../../src/store/snapshot-erofs.ts";
import { Workers } from "../../src/wasm/workers.ts";
import { buildWasm } from "../../wasm/layer.build.ts";
import { type Folder, makeFolder } from "./folder.ts";
import { ImageRoom } from "./images.ts";

await buildWasm();
await buildShim();
const workers = new Workers();

class WatchedSnapshotter extends ErofsSnapshotter {
  /** How each attempt ended: `staged`, or the kind of its error. */
  readonly outcomes: string[] = [];
  onOutcome = () => {};

  override async stage(path: string, options?: StageOptions): Promise<StagedLayer> {
    try {
      const staged = await super.stage(path, options);
      this.outcomes.push("staged");
      return staged;
    } catch (error) {
      this.outcomes.push(kindOf(error));
      throw error;
    } finally {
      this.onOutcome();
    }
  }
}

export class EarlyRoom implements AsyncDisposable {
  private constructor(
    readonly folder: Folder,
    readonly snapshotter: WatchedSnapshotter,
    readonly room: ImageRoom,
  ) {}

  static async open(options: Partial<ImagesOptions> = {}): Promise<EarlyRoom> {
    const folder = await makeFolder();
    const { path } = folder;
    const snapshotter = new WatchedSnapshotter({ root: path, runRoot: join(path, "run"), workers });
    return new EarlyRoom(
      folder,
      snapshotter,
      await ImageRoom.open({ ...options, snapshotter, scratch: join(path, "scratch") }),
    );
  }

  /** A stream that ends once so many attempts are over. */
  stream(first: Uint8Array, attempts: number, rest: Uint8Array): ReadableStream<Uint8Array> {
    const over = Promise.withResolvers<void>();
    this.snapshotter.onOutcome = () => {
      if (this.snapshotter.outcomes.length >= attempts) over.resolve();
    };
    const parts = (async function* () {
      yield first;
      await over.promise;
      yield rest;
    })();
    return new ReadableStream({
      async pull(out) {
        const { done, value } = await parts.next();
        if (done) out.close();
        else out.enqueue(value);
      },
    });
  }

  /** Names of all that is on disk of layers and archives. */
  async left(): Promise<readonly string[]> {
    const parts = ["layers", "scratch"].map((name) => readdir(join(this.folder.path, name)).catch(() => []));
    return (await Promise.all(parts)).flat();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.room[Symbol.asyncDispose]();
    await this.folder[Symbol.asyncDispose]();
  }
}
