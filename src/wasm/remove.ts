/** A tree that takes too long to remove for any other thread than a Worker's. */

import { removeAll } from "../base/removal.ts";

export interface RemoveJob {
  readonly directory: string;
  /** The tree's name in it. */
  readonly name: string;
}

/** @throws SystemError */
export async function remove({ directory, name }: RemoveJob): Promise<void> {
  removeAll(directory, name);
}
