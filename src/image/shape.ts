/** Reading JSON that a stranger wrote: a *shape* turns an unknown value into a typed one or says where it is wrong. */

import { type Digest, isDigest } from "../base/digest.ts";
import { corrupt } from "../base/errors.ts";

/** @param at  where the value stands, as `config.Env[2]`; for the message. @throws corrupt */
export type Shape<T> = (value: unknown, at: string) => T;

/** Nesting of arrays and objects that is read; real documents need about six. */
const deepest = 64;

const wrong = (at: string, want: string) => corrupt(`${at} is not ${want}`);

/** Fails on nesting before JSON.parse recurses into it. Linear, knows strings and escapes only. */
function checkDepth(text: string, what: string): void {
  let depth = 0;
  let inString = false;
  for (let at = 0; at < text.length; at++) {
    const character = text[at];
    if (inString) {
      if (character === "\\") at++;
      else if (character === '"') inString = false;
    } else if (character === '"') inString = true;
    else if (character === "{" || character === "[") {
      if (++depth > deepest) throw corrupt(`Cannot read the ${what}: nested deeper than ${deepest}`);
    } else if (character === "}" || character === "]") depth--;
  }
}

/**
 * @param what   names the document in messages
 * @param limit  most bytes
 * @throws       corrupt when it is too large, too deep, not UTF-8, not JSON or not of this shape
 */
export function parseJson<T>(bytes: Uint8Array, what: string, limit: number, shape: Shape<T>): T {
  if (bytes.byteLength > limit)
    throw corrupt(`Cannot read the ${what}: ${bytes.byteLength} bytes, want at most ${limit}`);
  let value: unknown;
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
    checkDepth(text, what);
    value = JSON.parse(text);
  } catch (cause) {
    if (cause instanceof SyntaxError || cause instanceof TypeError)
      throw corrupt(`Cannot read the ${what}: ${cause.message}`, { cause });
    throw cause;
  }
  return shape(value, what);
}

export const text: Shape<string> = (value, at) => {
  if (typeof value !== "string") throw wrong(at, "a string");
  return value;
};

export const integer: Shape<number> = (value, at) => {
  if (typeof value !== "number" || !Number.isSafeInteger(value)) throw wrong(at, "an integer");
  return value;
};

/** A size or a count. */
export const natural: Shape<number> = (value, at) => {
  if (integer(value, at) < 0) throw wrong(at, "a size");
  return integer(value, at);
};

export const flag: Shape<boolean> = (value, at) => {
  if (typeof value !== "boolean") throw wrong(at, "true or false");
  return value;
};

export const digest: Shape<Digest> = (value, at) => {
  if (!isDigest(value)) throw wrong(at, "a digest sha256:<64 hex digits>");
  return value;
};

function entriesOf(value: unknown, at: string): [string, unknown][] {
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw wrong(at, "an object");
  return Object.entries(value);
}

/** An object whose members do not matter. */
export const anything: Shape<object> = (value, at) => Object.fromEntries(entriesOf(value, at));

export const list =
  <T>(item: Shape<T>): Shape<readonly T[]> =>
  (value, at) => {
    if (!Array.isArray(value)) throw wrong(at, "an array");
    return value.map((one, index) => item(one, `${at}[${index}]`));
  };

/** A list of words; Docker also reads a single string, as old images have it. */
export const words: Shape<readonly string[]> = (value, at) =>
  typeof value === "string" ? [value] : list(text)(value, at);

export const record =
  <T>(item: Shape<T>): Shape<Readonly<Record<string, T>>> =>
  (value, at) =>
    Object.fromEntries(entriesOf(value, at).map(([key, one]) => [key, item(one, `${at}.${key.slice(0, 100)}`)]));

type Fields = Readonly<Record<string, Shape<unknown>>>;
type Read<F extends Fields> = { readonly [K in keyof F]?: ReturnType<F[K]> };
type With<T, K extends keyof T> = T & { readonly [P in K]-?: Exclude<T[P], undefined> };

/** An object of known members; null counts as absent, as it does in Go; others are passed over. Absent `required` ones are errors. */
export const fields =
  <F extends Fields, K extends keyof F & string = never>(
    shapes: F,
    required: readonly K[] = [],
  ): Shape<With<Read<F>, K>> =>
  (value, at) => {
    const given = new Map(entriesOf(value, at).filter(([, member]) => member !== null));
    const missing = required.find((key) => !given.has(key));
    if (missing !== undefined) throw wrong(`${at}.${missing}`, "there");
    const read = Object.entries(shapes)
      .filter(([key]) => given.has(key))
      .map(([key, shape]) => [key, shape(given.get(key), `${at}.${key}`)] as const);
    // What the compiler cannot see: every key was read by its own shape, and the required ones are there.
    return Object.fromEntries(read) as With<Read<F>, K>;
  };
