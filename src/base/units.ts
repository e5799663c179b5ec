/** Sizes as people write them. */

import { invalid } from "./errors.ts";

/** Bytes from `64m`, `1GiB`, `4096`. Source: docker/go-units RAMInBytes: powers of 1024. */
export function parseBytes(text: string): number {
  const match = /^(\d+(?:\.\d+)?)\s*(?:([kmgtp])(?:i?b)?|b)?$/i.exec(text.trim());
  if (!match?.[1]) throw invalid(`invalid size: '${text}'`);
  return Math.floor(Number(match[1]) * 1024 ** " kmgtp".indexOf(match[2]?.toLowerCase() ?? " "));
}
