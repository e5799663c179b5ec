/** The host's ends of bind mounts: `--mount` wants them to be there, `-v` makes directories of them. */

import { mkdir, stat } from "node:fs/promises";
import { hasCode, invalid, messageOf } from "../base/errors.ts";
import type { Bind } from "./config.ts";

/** @returns whether there is something, as far as can be seen */
export const isThere = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    () => false,
  );

/** @throws invalid in Docker's words for one that has to be there and is not */
export async function checkSources(binds: readonly Bind[]): Promise<void> {
  for (const { source, createSource } of binds)
    if (!createSource && !(await isThere(source)))
      throw invalid(`invalid mount config for type "bind": bind source path does not exist: ${source}`);
}

/** Makes those that may be made. @throws invalid */
export async function createSources(binds: readonly Bind[]): Promise<void> {
  for (const { source, createSource } of binds)
    if (createSource)
      await mkdir(source, { recursive: true }).catch((error) => {
        if (hasCode(error, "EEXIST")) return; // a file, or anything else but a directory
        throw invalid(`error while creating mount source path '${source}': ${messageOf(error)}`, { cause: error });
      });
}
