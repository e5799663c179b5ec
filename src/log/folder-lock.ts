/** The lock under which a log's files are renamed, by the shim and by us. The shim never waits for it: it is held for as long as one call takes. */

import { closeSync } from "node:fs";
import { dirname } from "node:path";
import { hasCode } from "../base/errors.ts";
import { lockDirectory } from "../base/files.ts";

/** The shim's renames take far less. ms */
const PATIENCE = 100;

/**
 * @param path   of the log's current file
 * @param work   done with the names standing still; nothing else goes on meanwhile
 * @returns      undefined when the lock cannot be had, or there is no such folder
 */
export async function withFolderLocked<T>(path: string, work: () => T): Promise<T | undefined> {
  const deadline = performance.now() + PATIENCE;
  do {
    const fd = lockOf(dirname(path));
    if (fd === "none") return undefined;
    if (fd !== undefined)
      try {
        return work();
      } finally {
        closeSync(fd);
      }
    await new Promise((resolve) => setImmediate(resolve));
  } while (performance.now() < deadline);
  return undefined;
}

function lockOf(folder: string): number | undefined | "none" {
  try {
    return lockDirectory(folder);
  } catch (error) {
    if (hasCode(error, "ENOENT", "ENOTDIR")) return "none";
    throw error;
  }
}
