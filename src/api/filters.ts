/**
 * The `filters` query parameter: a JSON object of names to values, as `{"label":["a=b"]}` or `{"label":{"a=b":true}}`.
 * Source: Moby, daemon/internal/filters/parse.go. Only the keys of a value object count.
 */

import { invalid } from "../base/errors.ts";
import { parseMoment } from "./times.ts";

/** @param wanted  `key` or `key=value` */
function hasLabel(labels: Readonly<Record<string, string>>, wanted: string): boolean {
  const at = wanted.indexOf("=");
  const key = at < 0 ? wanted : wanted.slice(0, at);
  return Object.hasOwn(labels, key) && (at < 0 || labels[key] === wanted.slice(at + 1));
}

export class Filters {
  constructor(readonly values: ReadonlyMap<string, readonly string[]>) {}

  /** The values given for `name`; empty when there are none. */
  get(name: string): readonly string[] {
    return this.values.get(name) ?? [];
  }

  /** @returns whether `name` was not asked for, or `test` holds for one of its values. */
  any(name: string, test: (value: string) => boolean): boolean {
    const values = this.get(name);
    return values.length === 0 || values.some(test);
  }

  /** @returns whether none of `label!` is among `labels`. */
  withoutLabels(labels: Readonly<Record<string, string>>): boolean {
    return !this.get("label!").some((wanted) => hasLabel(labels, wanted));
  }

  /** @returns whether each `label` (`key` or `key=value`) is among `labels`. */
  labels(labels: Readonly<Record<string, string>>, name = "label"): boolean {
    return this.get(name).every((wanted) => hasLabel(labels, wanted));
  }

  /** @throws invalid when a boolean filter is given and is not one */
  boolean(name: string): boolean | undefined {
    const [text] = this.get(name);
    if (text === undefined) return undefined;
    if (/^(1|t|true)$/i.test(text)) return true;
    if (/^(0|f|false)$/i.test(text)) return false;
    throw invalid(`invalid filter '${name}=[${text}]'`);
  }
}

/** @returns the one moment of an `until` filter. @throws invalid */
export function untilOf(filters: Filters): Date | undefined {
  const [until, second] = filters.get("until");
  if (second !== undefined) throw invalid("more than one until filter specified");
  return until === undefined ? undefined : parseMoment("until", until, Date.now());
}

/**
 * @param text     the query parameter; undefined or empty for none
 * @param allowed  names that the endpoint knows
 * @throws invalid
 */
export function parseFilters(text: string | undefined, allowed: readonly string[]): Filters {
  if (!text) return new Filters(new Map());
  let document: unknown;
  try {
    document = JSON.parse(text);
  } catch {
    throw invalid("invalid filter");
  }
  if (typeof document !== "object" || document === null || Array.isArray(document)) throw invalid("invalid filter");
  const values = new Map<string, readonly string[]>();
  for (const [name, given] of Object.entries(document)) {
    if (!allowed.includes(name)) throw invalid(`invalid filter '${name}'`);
    values.set(name, valuesOf(given));
  }
  return new Filters(values);
}

function valuesOf(given: unknown): readonly string[] {
  if (Array.isArray(given) && given.every((value) => typeof value === "string")) return given;
  if (typeof given === "object" && given !== null && !Array.isArray(given)) return Object.keys(given);
  throw invalid("invalid filter");
}
