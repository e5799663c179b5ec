/** What makes files survive a crash. */

import { open } from "node:fs/promises";

/** Waits until a directory's names are on disk: what was created in it or renamed into it stays. */
export async function syncDirectory(path: string): Promise<void> {
  await using directory = await open(path, "r");
  await directory.sync();
}
