/** Why the layer engine refused, in words. */

import { type BosunError, corrupt, internal } from "../base/errors.ts";
import type { Core } from "./module.ts";

/** A layer that is sound, but that the index cannot express: unpack it into a directory. */
export const INEXPRESSIBLE = 20;
const OUT_OF_MEMORY = 19;

/** By fault, from 1; see wasm/fault.ts. */
const REASONS = [
  "a header's checksum is wrong",
  "the tar ends too early",
  "a number is malformed or out of range",
  "an extended header is malformed",
  "an extended header is too large",
  "the path is too long",
  "a name is longer than 255 bytes or has a NUL",
  "there are too many entries",
  "the path leads out of the layer",
  "its parent is not a directory of the layer",
  "its parent leads through too many symlinks",
  "its link leads nowhere",
  "it has an extended attribute trusted.overlay.*, which would steer the overlay",
  "it has too large extended attributes",
  "it is a character device 0:0, which would be a whiteout",
  "its whiteout names nothing",
  "its type is unknown",
  "its sparse map is malformed",
  "its metadata does not fit in memory",
  "its files cannot be indexed",
  "its name starts with .wh., which would hide another file in a layer",
  "the walk of its tree is out of order",
];

const pathOf = (core: Core): string =>
  Buffer.from(core.memory.buffer, core.faultPath(), core.faultPathBytes()).toString();

/**
 * @param fault   what a function of the engine returned, not 0
 * @param action  what was tried, given the place, as ` at "etc/passwd"` or nothing
 */
export function failureOf(core: Core, fault: number, action: (place: string) => string): BosunError {
  const reason = REASONS[fault - 1] ?? `fault ${fault}`;
  const path = pathOf(core);
  const place = path === "" ? "" : ` at ${JSON.stringify(path.slice(0, 200))}`;
  const message = `Cannot ${action(place)}: ${reason}`;
  return fault === OUT_OF_MEMORY ? internal(message) : corrupt(message);
}
