/** A disk that is soon full: a file with ext4 in it, mounted for the test alone. EROFS layers and overlays can lie on it. */

import { closeSync, mkdirSync, openSync, rmSync, statfsSync, truncateSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { hasCode } from "../../src/base/errors.ts";
import { detachMount } from "../../src/base/mounts.ts";
import { makeFolder } from "./folder.ts";

export interface SmallDisk extends AsyncDisposable {
  /** Where it is mounted. */
  readonly path: string;
  /** Bytes. */
  free(): number;
  /** Takes space until only so many bytes are left, within a block. */
  fill(left?: number): void;
  /** Gives it back. */
  clear(): void;
}

const PIECE = Buffer.alloc(1 << 16);

function run(...command: readonly string[]): void {
  const { exitCode, stderr } = Bun.spawnSync([...command]);
  if (exitCode !== 0) throw new Error(`${command.join(" ")}: ${stderr}`);
}

export interface DiskOptions {
  /** An empty folder to mount it on; one of its own unless given. */
  readonly at?: string | undefined;
  /** The command that makes the file system, without the image's path; none for one in memory. */
  readonly format?: readonly string[];
  /** Of the mount, beside `loop`. */
  readonly options?: readonly string[];
}

const EXT4 = ["mkfs.ext4", "-q", "-m", "0", "-O", "^has_journal"];
export const EXT4_WITH_QUOTAS = {
  format: ["mkfs.ext4", "-q", "-m", "0", "-O", "quota,project", "-E", "quotatype=prjquota"],
  options: ["prjquota"],
};
export const TMPFS = { format: [] };
export const BTRFS = { format: ["mkfs.btrfs", "-q"] };

/** @param bytes  of the whole disk; some go to the file system itself */
export async function makeSmallDisk(bytes: number, options: DiskOptions = {}): Promise<SmallDisk> {
  const { at, format = EXT4 } = options;
  await using undo = new AsyncDisposableStack();
  const folder = undo.use(await makeFolder());
  const image = join(folder.path, "image");
  const path = at ?? join(folder.path, "disk");
  const filler = join(path, "filler");
  writeFileSync(image, "");
  truncateSync(image, bytes);
  mkdirSync(path, { recursive: true });
  if (format.length === 0) run("mount", "-t", "tmpfs", "-o", `size=${bytes}`, "tmpfs", path);
  else {
    run(...format, image);
    run("mount", "-o", ["loop", ...(options.options ?? [])].join(), image, path);
  }
  undo.defer(() => {
    try {
      detachMount(path);
    } catch (error) {
      if (!hasCode(error, "ENOENT", "EINVAL")) throw error; // the owner of the folder was faster
    }
  });
  const free = (): number => {
    const { bavail, bsize } = statfsSync(path);
    return bavail * bsize;
  };
  const own = undo.move();
  return {
    path,
    free,
    fill(left = 0) {
      const fd = openSync(filler, "a");
      try {
        for (let room = free() - left; room > 0; room = free() - left)
          writeSync(fd, PIECE, 0, Math.min(PIECE.length, room));
      } catch {
        // The last blocks are the file system's.
      } finally {
        closeSync(fd);
      }
    },
    clear: () => rmSync(filler, { force: true }),
    [Symbol.asyncDispose]: () => own.disposeAsync(),
  };
}
