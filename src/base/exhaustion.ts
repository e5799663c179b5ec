/** A cgroup's memory that is used up, told by the kernel when it happens. */

import { closeSync } from "node:fs";
import { checked, cString, library } from "./library.ts";

/**
 * @param directory  of a cgroup in a memory tree of the first generation
 * @param onSignal   called whenever it has no memory left, and once when it is removed
 * @returns          dispose of it to hear no more. @throws SystemError
 */
export function watchExhaustion(directory: string, onSignal: () => void): Disposable {
  const fd = checked(`watch the memory of ${directory}`, library().bosun_watch_exhaustion(cString(directory)));
  const reader = Bun.file(fd).stream().getReader();
  let isOver = false;
  const follow = async (): Promise<void> => {
    for (;;) {
      const { done } = await reader.read();
      if (done || isOver) return;
      onSignal();
    }
  };
  void follow()
    .catch(() => {}) // it was disposed of
    .finally(() => closeSync(fd));
  return {
    [Symbol.dispose]() {
      isOver = true;
      void reader.cancel().catch(() => {});
    },
  };
}
