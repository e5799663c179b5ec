/** `docker cp`: files of a container, out and in, whether it runs or not. Source of the rules: wire-notes section 7; docs.docker.com, `docker cp`. */

import { accessSync, closeSync, constants, fstatSync } from "node:fs";
import { posix } from "node:path";
import { hasCode, invalid, kindOf, messageOf, notFound, toldOf } from "../base/errors.ts";
import { openInRoot } from "../base/paths.ts";
import { type Bytes, finished } from "../base/streams.ts";
import { tarOfTree } from "../wasm/tree-tar.ts";
import type { Containers } from "./containers.ts";
import { type CopyPath, openPath, type PathStat, parseCopyPath, placeOf, statOf } from "./path-stat.ts";
import type { Container } from "./records.ts";
import type { ContainerRoot } from "./roots.ts";
import { unpacked } from "./unpacked.ts";
import { untar } from "./untar.ts";
import { idsOf } from "./user-ids.ts";

export interface WriteOptions {
  /** A directory is never replaced by something else, nor something else by a directory. */
  readonly keepKinds: boolean;
  /** Everything becomes the container's user's. */
  readonly chown: boolean;
}

export class Files {
  /** @param scratch  a folder for uploads that have to be decompressed */
  constructor(
    readonly containers: Containers,
    readonly scratch: string,
  ) {}

  /** @throws notFound, invalid */
  async stat(reference: string, given: string): Promise<PathStat> {
    const path = parseCopyPath(given);
    await using root = await this.containers.openRoot(reference);
    const fd = openPath(root.path, path, reference);
    try {
      return statOf(root.path, path, fd);
    } finally {
      closeSync(fd);
    }
  }

  /** @returns the tar of one thing, whose name is the last of the path. Read it, or cancel it. @throws notFound, invalid */
  async read(reference: string, given: string): Promise<{ readonly stat: PathStat; readonly tar: Bytes }> {
    const path = parseCopyPath(given);
    await using stack = new AsyncDisposableStack();
    const root = stack.use(await this.containers.openRoot(reference));
    const fd = openPath(root.path, path, reference);
    stack.defer(() => closeSync(fd));
    const stat = statOf(root.path, path, fd);
    const tar = fstatSync(fd).isDirectory()
      ? tarOfTree(`/proc/self/fd/${fd}`, { only: ".", rename: path.base })
      : tarOfTree(openParent(root, path, stack), { only: posix.basename(path.clean) });
    const held = stack.move();
    this.containers.emit(root.container, "archive-path");
    return { stat, tar: finished(tar, () => void held.disposeAsync()) };
  }

  /** Unpacks a tar, compressed or not, into a directory of a container. @throws notFound, invalid, unavailable */
  async write(reference: string, given: string, body: Bytes, options: WriteOptions): Promise<void> {
    const path = { ...parseCopyPath(given), directory: true };
    await using root = await this.containers.openRoot(reference);
    checkTarget(root, path, reference);
    const owner =
      options.chown && root.container.config.user !== "" ? idsOf(root.path, root.container.config.user) : undefined;
    const tar = await unpacked(body, this.scratch);
    try {
      const place = { root: root.path, path: path.clean };
      await untar(tar, place, { keepKinds: options.keepKinds, ...(owner && { owner }) });
    } catch (error) {
      throw writeFailure(error, given);
    }
    this.containers.emit(root.container, "extract-to-dir");
  }
}

function openParent(root: ContainerRoot, { clean }: CopyPath, stack: AsyncDisposableStack): string {
  const fd = openInRoot(root.path, posix.dirname(clean));
  stack.defer(() => closeSync(fd));
  return `/proc/self/fd/${fd}`;
}

/** @throws notFound, invalid */
function checkTarget(root: ContainerRoot, path: CopyPath, reference: string): void {
  let fd: number;
  try {
    fd = openInRoot(root.path, path.clean);
  } catch (error) {
    if (hasCode(error, "ENOENT"))
      throw notFound(`Could not find the file ${path.given} in container ${reference}`, { cause: error });
    throw invalid(`extraction point is not a directory: ${messageOf(error)}`, { cause: error });
  }
  try {
    if (!fstatSync(fd).isDirectory()) throw invalid("extraction point is not a directory");
    accessSync(`/proc/self/fd/${fd}`, constants.W_OK);
  } catch (error) {
    throw hasCode(error, "EROFS") ? invalid(readonlyText(root.container, placeOf(fd))) : error;
  } finally {
    closeSync(fd);
  }
}

/** @param place  which cannot be written to */
function readonlyText({ host, volumes = [] }: Container, place: string): string {
  const targets = [...host.binds, ...volumes].map(({ target }) => target);
  const isMounted = targets.some((target) => place === target || place.startsWith(`${target}/`));
  return isMounted ? "mounted volume is marked read-only" : "container rootfs is marked read-only";
}

const USERS_FAULT = ["EROFS", "EBUSY", "EPERM", "EACCES", "ENOTDIR", "EISDIR", "ELOOP", "ENAMETOOLONG", "EEXIST"];

/** The archive is the request's: what is wrong with it is the client's fault, and no damage of ours. */
function writeFailure(error: unknown, path: string): unknown {
  if (kindOf(error) === "corrupt") return invalid(messageOf(error), { cause: error });
  if (hasCode(error, ...USERS_FAULT)) return invalid(`Cannot copy to ${path}: ${messageOf(error)}`, { cause: error });
  return toldOf(path, error);
}
