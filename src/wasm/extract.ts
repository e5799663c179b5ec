/** A layer as a directory: what the engine's steps say, done by shim/lib-extract.c. */

import { checked, cString, library } from "../base/library.ts";

/** Of a step: u16 at 6 is the length of its name, the text at 64 begins with it. Layout: wasm/steps-write.ts. */
const NAME_BYTES = 6;
const TEXT = 64;

function nameOf(steps: Uint8Array, at: number): string {
  const length = new DataView(steps.buffer, steps.byteOffset + at).getUint16(NAME_BYTES, true);
  return Buffer.from(steps.subarray(at + TEXT, at + TEXT + length)).toString();
}

/**
 * Makes a layer's tree. What was made survives a crash.
 * @param root   an empty directory
 * @param tar    path of the tar that has the contents
 * @param steps  from `stepsOf`
 * @throws SystemError naming the file that could not be made
 */
export function extract(root: string, tar: string, steps: Uint8Array): void {
  const failed = new BigUint64Array(1);
  const result = library().bosun_extract(cString(root), cString(tar), steps, steps.byteLength, failed);
  const at = Number(failed[0]);
  const what = result < 0 && at < steps.byteLength ? `${JSON.stringify(nameOf(steps, at))} into ${root}` : root;
  checked(`unpack ${what}`, result);
}
