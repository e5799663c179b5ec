/** What a call fails with, as a value to compare. */

import { kindOf, messageOf } from "../../src/base/errors.ts";

/** @returns `kind: message` of what `call` throws, or `no error`. */
export async function failureOf(call: () => unknown): Promise<string> {
  try {
    await call();
  } catch (error) {
    return `${kindOf(error)}: ${messageOf(error)}`;
  }
  return "no error";
}
