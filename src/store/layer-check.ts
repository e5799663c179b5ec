/** Whether a layer on disk is what it should be. Its tar is the truth, its index a way to read it. */

import { closeSync } from "node:fs";
import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import type { Digest } from "../base/digest.ts";
import { ifMissing, messageOf } from "../base/errors.ts";
import { digestOfFile } from "../base/files.ts";
import { openMount } from "../base/mounts.ts";

export interface LayerFault {
  /** What is wrong: an index can be made again of the tar. */
  readonly part: "tar" | "index";
  readonly detail: string;
}

const sizeOf = (path: string): Promise<number | undefined> => stat(path).then(({ size }) => size, ifMissing(undefined));

/** Mounts it, attached nowhere, and reads its root. */
async function indexDetail(directory: string): Promise<string | undefined> {
  try {
    const index = join(directory, "erofs");
    const fd = openMount("erofs", ["ro", `source=${index}`, `device=${join(directory, "tar")}`]);
    try {
      await readdir(`/proc/self/fd/${fd}`);
    } finally {
      closeSync(fd);
    }
    return undefined;
  } catch (error) {
    return `its index cannot be read: ${messageOf(error)}`;
  }
}

/**
 * @param directory  of the layer. See wasm/unpack.ts
 * @param full       reads all of the tar, too
 * @returns          undefined when nothing is wrong
 */
export async function layerFault(directory: string, diffId: Digest, full: boolean): Promise<LayerFault | undefined> {
  const tar = join(directory, "tar");
  if ((await sizeOf(tar)) === undefined) return { part: "tar", detail: "its tar is missing" };
  if (full) {
    const actual = await digestOfFile(tar).catch(messageOf);
    if (actual !== diffId) return { part: "tar", detail: `its tar is damaged: it is ${actual}` };
  }
  const hasIndex = (await sizeOf(join(directory, "erofs"))) !== undefined;
  const hasTree = (await sizeOf(join(directory, "fs"))) !== undefined;
  if (!hasIndex && !hasTree) return { part: "index", detail: "its index is missing" };
  const detail = hasIndex ? await indexDetail(directory) : undefined;
  return detail === undefined ? undefined : { part: "index", detail };
}
