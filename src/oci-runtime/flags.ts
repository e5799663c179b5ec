/** Command lines as runc reads them: `--name value`, `--name=value`, one dash or two, options before arguments. */

import { invalid } from "../base/errors.ts";

export interface Flag {
  readonly name: string;
  readonly short?: string;
  /** What the value is, for the usage; a flag without one is true or false. */
  readonly value?: string;
  /** May come several times. */
  readonly many?: boolean;
  readonly help: string;
}

export interface Parsed {
  readonly args: readonly string[];
  has(name: string): boolean;
  /** @returns the last that was given; undefined for none */
  text(name: string): string | undefined;
  texts(name: string): readonly string[];
  /** @throws invalid unless it is a whole number */
  number(name: string): number | undefined;
}

function flagOf(flags: readonly Flag[], word: string): Flag {
  const name = word.replace(/^--?/, "").replace(/=.*$/s, "");
  const flag = flags.find((each) => each.name === name || each.short === name);
  if (flag === undefined) throw invalid(`flag provided but not defined: -${name}`);
  return flag;
}

const isFlag = (word: string | undefined): word is string => word !== undefined && /^-./.test(word) && word !== "--";

function parsed(values: ReadonlyMap<string, readonly string[]>, args: readonly string[]): Parsed {
  const text = (name: string) => values.get(name)?.at(-1);
  return {
    args,
    has: (name) => values.has(name) && text(name) !== "false",
    text,
    texts: (name) => values.get(name) ?? [],
    number(name) {
      const value = text(name);
      if (value !== undefined && !/^-?\d+$/.test(value))
        throw invalid(`invalid value ${JSON.stringify(value)} for flag -${name}`);
      return value === undefined ? undefined : Number(value);
    },
  };
}

/** @throws invalid for what is no flag, or has no value */
export function parseFlags(flags: readonly Flag[], words: readonly string[]): Parsed {
  const values = new Map<string, readonly string[]>();
  let at = 0;
  for (let word = words[at]; isFlag(word); word = words[at]) {
    const flag = flagOf(flags, word);
    const given = /=(.*)$/s.exec(word)?.[1];
    const value = given ?? (flag.value === undefined ? "true" : words[++at]);
    if (value === undefined) throw invalid(`flag needs an argument: -${flag.name}`);
    values.set(flag.name, [...(values.get(flag.name) ?? []), value]);
    at++;
  }
  if (words[at] === "--") at++;
  return parsed(values, words.slice(at));
}

export const flagHelp = (flags: readonly Flag[]): string =>
  flags
    .map(({ name, short, value, help }) => {
      const names = `--${name}${value === undefined ? "" : ` ${value}`}${short === undefined ? "" : `, -${short}`}`;
      return `   ${names.padEnd(28)} ${help}\n`;
    })
    .join("");
