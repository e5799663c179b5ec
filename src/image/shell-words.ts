/**
 * Words of Dockerfile instructions: quotes, escapes and variables as a shell reads them, and nothing more of a shell.
 * Source: Dockerfile reference, "Environment replacement"; Docker documentation, "Escape".
 */

import { invalid } from "../base/errors.ts";

export type Environment = ReadonlyMap<string, string>;

/** `NAME=value` entries, as an image's configuration has them. */
export const environmentOf = (entries: readonly string[]): Environment =>
  new Map(
    entries.map((entry) => {
      const at = entry.indexOf("=");
      return at < 0 ? ([entry, ""] as const) : ([entry.slice(0, at), entry.slice(at + 1)] as const);
    }),
  );

/** Nested `${a:-${b:-…}}` that is read. */
const deepest = 32;

class Expansion {
  #at = 0;

  constructor(
    readonly text: string,
    readonly env: Environment,
    readonly depth = 0,
  ) {
    if (depth > deepest) throw invalid("failed to process: variables are nested too deeply");
  }

  run(): string {
    let out = "";
    while (this.#at < this.text.length) out += this.#piece();
    return out;
  }

  #take(): string {
    return this.text[this.#at++] ?? "";
  }

  #piece(): string {
    const character = this.#take();
    if (character === "'") return this.#single();
    if (character === '"') return this.#double();
    if (character === "$") return this.#variable();
    if (character !== "\\") return character;
    return this.#at < this.text.length ? this.#take() : "";
  }

  #single(): string {
    const end = this.text.indexOf("'", this.#at);
    if (end < 0) throw invalid("unexpected end of statement while looking for matching single-quote");
    const inside = this.text.slice(this.#at, end);
    this.#at = end + 1;
    return inside;
  }

  /** Inside, a backslash takes away the meaning of `"`, `$` and itself, and stays before anything else. */
  #double(): string {
    let out = "";
    while (this.#at < this.text.length) {
      const character = this.#take();
      if (character === '"') return out;
      if (character === "$") out += this.#variable();
      else if (character === "\\") {
        const next = this.#take();
        out += ['"', "$", "\\"].includes(next) ? next : `\\${next}`;
      } else out += character;
    }
    throw invalid("unexpected end of statement while looking for matching double-quote");
  }

  #variable(): string {
    if (this.text[this.#at] === "{") {
      this.#at++;
      return this.#braced();
    }
    const [name = ""] = /^(?:[A-Za-z_][A-Za-z0-9_]*|[0-9@*#?$!-])/.exec(this.text.slice(this.#at)) ?? [];
    this.#at += name.length;
    return name === "" ? "$" : (this.env.get(name) ?? "");
  }

  #braced(): string {
    const inside = this.text.slice(this.#at, this.#closing());
    this.#at += inside.length + 1;
    const [, name, colon, operator, word = ""] =
      /^([A-Za-z_][A-Za-z0-9_]*|[0-9]+|[@*#?$!-])(?:(:?)([-+?])(.*))?$/s.exec(inside) ?? [];
    if (name === undefined) throw invalid(`unsupported modifier or bad substitution in \${${inside}}`);
    const value = this.env.get(name);
    const isSet = colon === ":" ? value !== undefined && value !== "" : value !== undefined;
    const other = () => new Expansion(word, this.env, this.depth + 1).run();
    if (operator === "-") return isSet ? (value ?? "") : other();
    if (operator === "+") return isSet ? other() : "";
    if (operator === "?" && !isSet) throw invalid(`${name}: ${other() || "not set"}`);
    return value ?? "";
  }

  /** @returns where the brace closes that is open now */
  #closing(): number {
    let open = 1;
    for (let at = this.#at; at < this.text.length; at++) {
      if (this.text[at] === "\\") at++;
      else if (this.text[at] === "{") open++;
      else if (this.text[at] === "}" && --open === 0) return at;
    }
    throw invalid("syntax error: missing '}'");
  }
}

/** @returns a word without its quotes, with its variables' values. @throws invalid */
export const expandWord = (word: string, env: Environment): string => new Expansion(word, env).run();

/**
 * @returns the words between white space, which quotes and backslashes keep together; they still have both
 */
export function splitWords(text: string): readonly string[] {
  const words: string[] = [];
  let word = "";
  let quote = "";
  for (let at = 0; at < text.length; at++) {
    const character = text[at] ?? "";
    if (quote === "" && /\s/.test(character)) {
      if (word !== "") words.push(word);
      word = "";
      continue;
    }
    if (character === "\\" && quote !== "'") word += character + (text[++at] ?? "");
    else {
      if (quote === "" && (character === "'" || character === '"')) quote = character;
      else if (character === quote) quote = "";
      word += character;
    }
  }
  return word === "" ? words : [...words, word];
}
