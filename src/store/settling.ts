/**
 * Layers are made durable after they are in use, not before: nobody waits for the disk. A layer that is on disk has a file `settled`. When the
 * machine went down before that, the next start knows which layers to doubt; when only the daemon went down, the kernel still has all of it.
 */

import { open, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { bootId } from "../base/boot.ts";
import { hasCode, ifMissing, messageOf } from "../base/errors.ts";
import { syncDirectory } from "../base/files.ts";

export const SETTLED = "settled";
/** Until so long nothing came: syncing while layers are being written would hold those up. */
const PAUSE_MS = 1000;

/** What has to be on disk of a layer. A layer that is a directory was synced when it was made. */
const FILES = ["tar", "erofs"];

async function syncFile(path: string): Promise<void> {
  const file = await open(path, "r").catch(ifMissing(undefined));
  if (!file) return;
  await using _ = file;
  await file.datasync();
}

export interface SettlingOptions {
  /** Holds a directory for each layer. */
  readonly directory: string;
  /** A file that remembers which run of the kernel it was. */
  readonly bootFile: string;
  /** Told why a layer could not be synced; it is tried again at the next start. */
  readonly onFailure: (reason: string) => void;
  readonly pauseMs?: number;
}

export class Settling {
  readonly #options: SettlingOptions;
  readonly #waiting = new Set<string>();
  #timer: Timer | undefined;

  constructor(options: SettlingOptions) {
    this.#options = options;
  }

  /** Makes a layer durable soon. It may go meanwhile. */
  add(name: string): void {
    this.#waiting.add(name);
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.settle(), this.#options.pauseMs ?? PAUSE_MS);
    this.#timer.unref();
  }

  /** Makes durable what waits, one after the other. */
  async settle(): Promise<void> {
    for (const name of this.#waiting) {
      this.#waiting.delete(name);
      await this.#settle(join(this.#options.directory, name)).catch((error) => {
        if (!hasCode(error, "ENOENT")) this.#options.onFailure(messageOf(error)); // else it is gone
      });
    }
  }

  /** Makes a layer durable before anybody relies on it: of what a container made there is no other copy. @throws what the disk says */
  async settleNow(name: string): Promise<void> {
    this.#waiting.delete(name);
    await this.#settle(join(this.#options.directory, name));
  }

  async #settle(layer: string): Promise<void> {
    for (const file of FILES) await syncFile(join(layer, file));
    await writeFile(join(layer, SETTLED), "");
    await syncDirectory(layer);
    await syncDirectory(this.#options.directory);
  }

  /** To be called before a layer that was durable changes; then `add` it again. */
  async unsettle(name: string): Promise<void> {
    await rm(join(this.#options.directory, name, SETTLED), { force: true });
  }

  /**
   * Called once at start. A crash in the middle of it leaves all of it to the next start.
   * @param unsettled  layers without the file
   * @param doubt      called for those that may be damaged, since the machine went down; the others will be settled
   */
  async resume(unsettled: readonly string[], doubt: (name: string) => Promise<void>): Promise<void> {
    const { bootFile } = this.#options;
    const now = bootId();
    const before = await readFile(bootFile, "utf8").catch(ifMissing(undefined));
    if (before === now) {
      for (const name of unsettled) this.add(name);
      return;
    }
    for (const name of unsettled) await doubt(name);
    await writeFile(bootFile, now);
  }
}
