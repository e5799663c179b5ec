/**
 * Reading JSON that a client sent: typed, with an error that names the field. Absent and null are the same, as in Go, and names of fields that
 * differ in case only are, too: docker-py says `detachKeys`. Source: Go's encoding/json, Unmarshal.
 */

import { invalid } from "../base/errors.ts";
import { isObject } from "../base/objects.ts";

/** Whether a value says nothing: Go's zero values, and -1, which the CLI sends for "not set" in some numbers. */
export function isBlank(value: unknown): boolean {
  if (value === undefined || value === null || value === "" || value === 0 || value === -1 || value === false)
    return true;
  return typeof value === "object" && Object.keys(value).length === 0;
}

export class Document {
  readonly #fields: Readonly<Record<string, unknown>>;
  #folded: ReadonlyMap<string, unknown> | undefined;

  /** @throws invalid when `value` is there and not an object */
  constructor(
    value: unknown,
    readonly path = "",
  ) {
    if (value !== undefined && value !== null && !isObject(value))
      throw invalid(`invalid JSON: ${path || "body"} must be an object`);
    this.#fields = isObject(value) ? value : {};
  }

  #wrong(name: string, wanted: string): never {
    throw invalid(`invalid JSON: ${this.path}${name} must be ${wanted}`);
  }

  get names(): readonly string[] {
    return Object.keys(this.#fields);
  }

  get(name: string): unknown {
    if (Object.hasOwn(this.#fields, name)) return this.#fields[name] ?? undefined;
    this.#folded ??= new Map(Object.entries(this.#fields).map(([key, value]) => [key.toLowerCase(), value]));
    return this.#folded.get(name.toLowerCase()) ?? undefined;
  }

  has(name: string): boolean {
    return this.get(name) !== undefined;
  }

  document(name: string): Document {
    return new Document(this.get(name), `${this.path}${name}.`);
  }

  text(name: string, fallback = ""): string {
    const value = this.get(name) ?? fallback;
    return typeof value === "string" ? this.#clean(name, value) : this.#wrong(name, "a string");
  }

  /** Texts end up as words of the container's plan, where a NUL would begin another word. */
  #clean(name: string, value: string): string {
    return value.includes("\0") ? this.#wrong(name, "free of NUL bytes") : value;
  }

  flag(name: string): boolean {
    const value = this.get(name) ?? false;
    return typeof value === "boolean" ? value : this.#wrong(name, "true or false");
  }

  number(name: string, fallback = 0): number {
    const value = this.get(name) ?? fallback;
    return typeof value === "number" && Number.isSafeInteger(value) ? value : this.#wrong(name, "a whole number");
  }

  /** A list of strings; undefined when absent. One string stands for a list of one. */
  words(name: string): readonly string[] | undefined {
    const value = this.get(name);
    if (value === undefined) return undefined;
    const list: unknown[] = Array.isArray(value) ? value : [value];
    return list.map((item) =>
      typeof item === "string" ? this.#clean(name, item) : this.#wrong(name, "a list of strings"),
    );
  }

  documents(name: string): readonly Document[] {
    const value = this.get(name) ?? [];
    if (!Array.isArray(value)) this.#wrong(name, "a list");
    return value.map((item, at) => new Document(item, `${this.path}${name}[${at}].`));
  }

  /** An object of strings. */
  texts(name: string): Readonly<Record<string, string>> {
    const inner = this.document(name);
    return Object.fromEntries(inner.names.map((key) => [this.#clean(name, key), inner.text(key)]));
  }
}
