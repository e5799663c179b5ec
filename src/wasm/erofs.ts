/** What the layer engine makes of a finished tar: an EROFS index, or steps for a directory. */

import { INEXPRESSIBLE } from "./fault.ts";
import type { TarReader } from "./tar.ts";

/** @returns the engine's output, in its memory: use it before anything else is done with the engine. */
function output({ core }: TarReader): Uint8Array {
  return new Uint8Array(core.memory.buffer, core.output(), core.outputBytes());
}

/**
 * An EROFS image without file data, of 512-byte blocks; mount it with the tar as its device.
 * @param tar  finished
 * @returns    undefined when EROFS cannot express the layer: then take `stepsOf`
 */
export function erofsOf(tar: TarReader): Uint8Array | undefined {
  const fault = tar.core.makeErofs();
  if (fault === INEXPRESSIBLE) return undefined;
  tar.check(fault);
  return output(tar);
}

/** Steps that make the layer in an empty directory. Layout: wasm/steps-write.ts. @param tar  finished */
export function stepsOf(tar: TarReader): Uint8Array {
  tar.check(tar.core.makeSteps());
  return output(tar);
}
