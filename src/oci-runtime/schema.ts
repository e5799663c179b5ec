/** Documents from outside as typed values: a *decoder* checks a part of one and says where it is wrong. What nobody asks for is let through. */

import { invalid } from "../base/errors.ts";
import { isObject } from "../base/objects.ts";

/** @param path  for messages, as `linux.resources`. @throws invalid */
export type Decoder<T> = (value: unknown, path: string) => T;
export type Decoded<D> = D extends Decoder<infer T> ? T : never;

const wrong = (path: string, wanted: string) => invalid(`invalid configuration: ${path} is not ${wanted}`);

export const text: Decoder<string> = (value, path) => {
  if (typeof value !== "string") throw wrong(path, "a string");
  if (value.includes("\0")) throw invalid(`invalid configuration: ${path} has a NUL byte`);
  return value;
};

/** Whole numbers. What JSON has beyond 2^53 comes as near as a double does. */
export const number: Decoder<number> = (value, path) => {
  if (typeof value !== "number" || !Number.isInteger(value)) throw wrong(path, "a whole number");
  return value;
};

export const natural: Decoder<number> = (value, path) => {
  if (number(value, path) < 0) throw wrong(path, "a number from 0");
  return number(value, path);
};

export const flag: Decoder<boolean> = (value, path) => {
  if (typeof value !== "boolean") throw wrong(path, "true or false");
  return value;
};

export const anything: Decoder<unknown> = (value) => value;

/** Go writes what is not there as null. */
export const optional =
  <T>(decode: Decoder<T>): Decoder<T | undefined> =>
  (value, path) =>
    value === undefined || value === null ? undefined : decode(value, path);

export const withDefault =
  <T>(decode: Decoder<T>, standard: T): Decoder<T> =>
  (value, path) =>
    value === undefined || value === null ? standard : decode(value, path);

/** Empty when it is not there. */
export const list =
  <T>(decode: Decoder<T>): Decoder<readonly T[]> =>
  (value, path) => {
    if (value === undefined || value === null) return [];
    if (!Array.isArray(value)) throw wrong(path, "a list");
    return value.map((item, index) => decode(item, `${path}[${index}]`));
  };

/** Empty when it is not there. */
export const record =
  <T>(decode: Decoder<T>): Decoder<Readonly<Record<string, T>>> =>
  (value, path) => {
    if (value === undefined || value === null) return {};
    if (!isObject(value)) throw wrong(path, "an object");
    return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, decode(item, `${path}.${name}`)]));
  };

export const oneOf =
  <const T extends string>(...names: readonly T[]): Decoder<T> =>
  (value, path) => {
    const found = names.find((name) => name === value);
    if (found === undefined) throw wrong(path, `one of ${names.join(", ")}`);
    return found;
  };

type Shape = Readonly<Record<string, Decoder<unknown>>>;

export const object =
  <S extends Shape>(shape: S): Decoder<{ readonly [K in keyof S]: Decoded<S[K]> }> =>
  (value, path) => {
    if (!isObject(value)) throw wrong(path, "an object");
    const members = Object.entries(shape).map(([name, decode]) => [
      name,
      decode(value[name], path === "" ? name : `${path}.${name}`),
    ]);
    return Object.fromEntries(members) as { readonly [K in keyof S]: Decoded<S[K]> }; // a member for each of S, by its own decoder
  };

/** @param what  for the message, as `config.json`. @throws invalid */
export function parseDocument<T>(what: string, json: string, decode: Decoder<T>): T {
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch (error) {
    throw invalid(`Cannot read ${what}: it is not JSON`, { cause: error });
  }
  return decode(value, "");
}
