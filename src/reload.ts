/**
 * SIGHUP, which asks dockerd to read daemon.json again. Here every option counts from the start of a daemon, and containers run on while one ends
 * and the next begins: so the file is checked, and it is told what waits for that.
 */

import { messageOf } from "./base/errors.ts";
import type { Logger } from "./base/logger.ts";
import { parseConfig } from "./config.ts";
import type { Raw } from "./options.ts";

/** Names of options that are given otherwise than before, in order. Pure. */
export function changedOptions(before: Raw, after: Raw): readonly string[] {
  const names = [...new Set([...before.keys(), ...after.keys()])];
  return names.filter((name) => !Bun.deepEquals(before.get(name), after.get(name))).toSorted();
}

/** @param argv  what the daemon was started with. @param before  what it runs by */
export function reload(argv: readonly string[], before: Raw, log: Logger): void {
  try {
    const changed = changedOptions(before, parseConfig(argv).given);
    if (changed.length === 0) log.info("configuration read again: nothing has changed");
    else
      log.warn("configuration has changed: restart the daemon for it to count, containers run on meanwhile", {
        options: changed.join(","),
      });
  } catch (error) {
    log.error("configuration cannot be read again, what was there before stays", { error: messageOf(error) });
  }
}
