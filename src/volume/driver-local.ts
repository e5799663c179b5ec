/**
 * Volumes as directories of this machine, `<root>/<name>/_data`, or whatever is mounted there by their options while they are used. Mounts are
 * the host's: containers of a daemon that died go on with them, and the next daemon finds them in the table of mounts.
 */

import { closeSync } from "node:fs";
import { chmod, mkdir, rename, rm, rmdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import { conflict, hasCode, ifMissing, invalid, messageOf, toldOf, unavailable } from "../base/errors.ts";
import { mountsBelow } from "../base/mountinfo.ts";
import { attachMount, detachMount, openMount, openTree, restrictMount } from "../base/mounts.ts";
import { limitDirectory } from "../base/quota.ts";
import { bytesBelow, namesIn } from "./directories.ts";
import type { VolumeDriver, VolumeFacts, VolumeOptions } from "./driver.ts";
import { type LocalMount, localMount, localSize } from "./local-options.ts";

/** No volume's name begins so. */
const GONE = ".rm-";

function open(mount: LocalMount): number {
  if (mount.kind === "bind") return openTree(mount.source, mount.recursive);
  return openMount(mount.type, [`source=${mount.source}`, ...mount.options]);
}

function attach(mount: LocalMount, target: string): void {
  const fd = open(mount);
  try {
    restrictMount(fd, mount.attributes);
    attachMount(fd, target);
  } finally {
    closeSync(fd);
  }
}

/** @throws unavailable in Docker's words where the file system cannot hold it to a size */
async function makeData(path: string, size: number | undefined): Promise<void> {
  await mkdir(path);
  if (size !== undefined) {
    const cause = await limitDirectory(path, size);
    if (cause !== undefined)
      throw unavailable(
        "quota size requested but no quota support: the volumes have to be on ext4 or xfs with project quotas " +
          "(mkfs.ext4 -O quota,project; mount -o prjquota), or on Btrfs",
        { cause },
      );
  }
  await chmod(path, 0o755); // whatever the umask
}

/** A directory that is written beside the empty one, and then in its place. */
async function replaced(
  path: string,
  size: number | undefined,
  write: (directory: string) => Promise<void>,
): Promise<void> {
  const fresh = join(dirname(path), "new-data");
  await rm(fresh, { recursive: true, force: true }); // of a daemon that died
  try {
    await makeData(fresh, size);
    await write(fresh);
    if (size !== undefined) await rmdir(path); // a subvolume is never replaced by another
    await rename(fresh, path);
  } finally {
    await rm(fresh, { recursive: true, force: true });
  }
}

export class LocalDriver implements VolumeDriver {
  readonly name = "local";

  /** @param root  holds a folder for each volume, and nothing else */
  constructor(readonly root: string) {}

  check(options: VolumeOptions): void {
    localMount(options);
    localSize(options);
  }

  path(name: string): string {
    return join(this.root, name, "_data");
  }

  async create(name: string, options: VolumeOptions): Promise<void> {
    const path = this.path(name);
    try {
      await mkdir(dirname(path), { recursive: true, mode: 0o701 });
      await makeData(path, localSize(options));
    } catch (error) {
      if (hasCode(error, "EEXIST")) return;
      await rmdir(path).catch(() => {}); // empty, and without the limit that was asked for
      throw toldOf(path, error);
    }
  }

  async mount(name: string, options: VolumeOptions): Promise<void> {
    await this.create(name, options);
    const mount = localMount(options);
    const path = this.path(name);
    if (!mount || (await this.#mounts(name)).includes(path)) return;
    try {
      attach(mount, path);
    } catch (error) {
      throw invalid(
        `error while mounting volume '${path}': failed to mount local volume: ${messageOf(error)} (type ${options.type}, device ${options.device}, options ${options.o ?? "none"})`,
        { cause: error },
      );
    }
  }

  #mounts(name: string): Promise<readonly string[]> {
    return mountsBelow(join(this.root, name));
  }

  async unmount(name: string): Promise<void> {
    for (const point of (await this.#mounts(name)).toReversed()) detachMount(point);
  }

  async fill(
    name: string,
    options: VolumeOptions,
    mounted: boolean,
    write: (directory: string) => Promise<void>,
  ): Promise<void> {
    await this.mount(name, options);
    try {
      const path = this.path(name);
      if ((await namesIn(path)).length > 0) return;
      if (mounted || localMount(options)) await write(path);
      else await replaced(path, localSize(options), write);
    } finally {
      if (!mounted) await this.unmount(name);
    }
  }

  async remove(name: string): Promise<void> {
    const folder = join(this.root, name);
    // What is mounted there is somebody else's: it must not be emptied.
    const [mounted] = await this.#mounts(name);
    if (mounted !== undefined) throw conflict(`Cannot remove ${folder}: something is mounted at ${mounted}`);
    const gone = join(this.root, GONE + name);
    await rm(gone, { recursive: true, force: true });
    await rename(folder, gone).catch(ifMissing(undefined));
    await rm(gone, { recursive: true, force: true });
  }

  async usage(name: string, options: VolumeOptions): Promise<{ readonly bytes: number } | undefined> {
    return options.type ? undefined : { bytes: await bytesBelow(this.path(name)) };
  }

  async describe(name: string): Promise<VolumeFacts> {
    return { path: this.path(name), scope: "local" };
  }

  async sweep(used: ReadonlySet<string>): Promise<void> {
    for (const name of await namesIn(this.root)) {
      if (!used.has(name)) await this.unmount(name);
      const left = name.startsWith(GONE) ? join(this.root, name) : join(this.root, name, "new-data");
      await rm(left, { recursive: true, force: true });
    }
  }
}
