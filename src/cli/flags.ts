/**
 * Docker's flags: `--name value`, `--name=value`, `-n value`, `-it`, and for the old ones a single dash (`-rm`). A command that runs another one
 * stops at its first own argument; the rest belongs to the program.
 */

export type Kind = "bool" | "text" | "list";

export interface FlagSpec {
  readonly kind: Kind;
  readonly short?: string;
  readonly help: string;
}

export type Specs = Readonly<Record<string, FlagSpec>>;

/** Told to the user with a hint at --help; exit code 125 as docker's. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

export class Flags {
  constructor(
    readonly values: ReadonlyMap<string, readonly string[]>,
    readonly args: readonly string[],
  ) {}

  has = (name: string): boolean => this.values.has(name);
  list = (name: string): readonly string[] => this.values.get(name) ?? [];
  text = (name: string): string | undefined => this.values.get(name)?.at(-1);

  /** @throws UsageError for a boolean that is none */
  on(name: string, fallback = false): boolean {
    const text = this.text(name);
    if (text === undefined) return fallback;
    if (/^(true|t|1)$/i.test(text)) return true;
    if (/^(false|f|0)$/i.test(text)) return false;
    throw new UsageError(`invalid argument ${JSON.stringify(text)} for "--${name}" flag: invalid syntax`);
  }

  number(name: string): number | undefined {
    const text = this.text(name);
    if (text === undefined) return undefined;
    const value = Number(text);
    if (text === "" || !Number.isFinite(value))
      throw new UsageError(`invalid argument ${JSON.stringify(text)} for "--${name}" flag: invalid syntax`);
    return value;
  }
}

export interface ParseOptions {
  /** Flags end at the first argument. */
  readonly stopAtArgument?: boolean;
}

/** @throws UsageError */
export function parseFlags(
  words: readonly string[],
  specs: Specs,
  { stopAtArgument = false }: ParseOptions = {},
): Flags {
  const values = new Map<string, string[]>();
  const args: string[] = [];
  const rest = [...words];
  const add = (name: string, value: string) => values.set(name, [...(values.get(name) ?? []), value]);
  for (let word = rest.shift(); word !== undefined; word = rest.shift()) {
    if (word === "--") return new Flags(values, [...args, ...rest]);
    if (!word.startsWith("-") || word === "-") {
      args.push(word);
      if (stopAtArgument) return new Flags(values, [...args, ...rest]);
      continue;
    }
    const [, name = "", attached] = /^--?([^=]+)(?:=(.*))?$/s.exec(word) ?? [];
    const spec = (word.startsWith("--") || name.length > 1) && Object.hasOwn(specs, name) ? specs[name] : undefined;
    if (spec) add(name, attached ?? wordAfter(spec, rest, `--${name}`));
    else if (word.startsWith("--")) throw new UsageError(`unknown flag: --${name}`);
    else parseShorts(word.slice(1), specs, rest, add);
  }
  return new Flags(values, args);
}

function wordAfter(spec: FlagSpec, rest: string[], shown: string): string {
  if (spec.kind === "bool") return "true";
  const value = rest.shift();
  if (value === undefined) throw new UsageError(`flag needs an argument: ${shown}`);
  return value;
}

/** `-it`, `-eA=1`, `-e A=1`: letters without a value, then at most one with. */
function parseShorts(letters: string, specs: Specs, rest: string[], add: (name: string, value: string) => void): void {
  for (let at = 0; at < letters.length; at++) {
    const [name, spec] = Object.entries(specs).find(([, { short }]) => short === letters[at]) ?? [];
    if (!name || !spec) throw new UsageError(`unknown shorthand flag: '${letters[at]}' in -${letters}`);
    const attached = letters.slice(at + 1);
    if (spec.kind === "bool" && !attached.startsWith("=")) {
      add(name, "true");
      continue;
    }
    add(name, attached === "" ? wordAfter(spec, rest, `'${letters[at]}' in -${letters}`) : attached.replace(/^=/, ""));
    return;
  }
}

/** Flags are in the order of their names, as docker's. */
export function helpText(usage: string, summary: string, specs: Specs): string {
  const sorted = Object.entries(specs).toSorted(([one], [other]) => (one < other ? -1 : 1));
  const lines = sorted.map(([name, { kind, short, help }]) => {
    const flag = `${short ? `-${short}, ` : "    "}--${name}${kind === "bool" ? "" : kind === "list" ? " list" : " string"}`;
    return `  ${flag.padEnd(30)} ${help}`;
  });
  return [`Usage:  bosun ${usage}`, "", summary, ...(lines.length > 0 ? ["", "Options:", ...lines] : [])].join("\n");
}
