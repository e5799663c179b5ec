/** Content digests. Source: OCI image-spec v1.1, descriptor.md, "Digests". Only sha256 is accepted, as Docker does. */

import { invalid } from "./errors.ts";

export type Digest = `sha256:${string}`;

const PATTERN = /^sha256:[0-9a-f]{64}$/;

export const isDigest = (value: unknown): value is Digest => typeof value === "string" && PATTERN.test(value);

/** @throws invalid when `text` is not `sha256:` and 64 lower-case hex digits. */
export function parseDigest(text: string): Digest {
  if (!isDigest(text))
    throw invalid(`invalid digest ${JSON.stringify(text.slice(0, 100))}: want sha256:<64 hex digits>`);
  return text;
}

/** @returns the 64 hex digits; safe as a file name. */
export const hexOf = (digest: Digest): string => digest.slice("sha256:".length);

export const digestOf = (bytes: string | Uint8Array): Digest =>
  `sha256:${new Bun.CryptoHasher("sha256").update(bytes).digest("hex")}`;

/** @returns the id of every prefix of a list of layers, as Docker names layers. Source: OCI image-spec config.md, "Layer ChainID". */
export function chainIds(diffIds: readonly Digest[]): readonly Digest[] {
  const chain: Digest[] = [];
  for (const diffId of diffIds) {
    const below = chain.at(-1);
    chain.push(below === undefined ? diffId : digestOf(`${below} ${diffId}`));
  }
  return chain;
}
