/** How a server asks for authorisation: the WWW-Authenticate header. Source: RFC 9110 section 11.6.1, RFC 6750 section 3. */

export interface Challenge {
  /** Lower case: `bearer`, `basic`. */
  readonly scheme: string;
  /** Names in lower case: `realm`, `service`, `scope`, `error`. */
  readonly parameters: Readonly<Record<string, string>>;
}

const SPACES = /[\s,]*/y;
const TOKEN = /[!#$%&'*+.^`|~\w-]+/y;
const EQUALS = /\s*=\s*/y;
const QUOTED = /"((?:[^"\\]|\\.)*)"/y;
/** Longer headers are not read: no server needs as much. */
const longest = 16_384;

class Scanner {
  #at = 0;
  constructor(readonly text: string) {}

  take(pattern: RegExp): RegExpExecArray | undefined {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.text);
    if (!found) return undefined;
    this.#at = pattern.lastIndex;
    return found;
  }

  value(): string | undefined {
    const quoted = this.take(QUOTED);
    return quoted ? (quoted[1] ?? "").replace(/\\(.)/g, "$1") : this.take(TOKEN)?.[0];
  }
}

/** @returns the challenges in order; what cannot be read ends the list. */
export function parseChallenges(header: string): readonly Challenge[] {
  const scanner = new Scanner(header.slice(0, longest));
  const challenges: { scheme: string; parameters: Record<string, string> }[] = [];
  for (;;) {
    scanner.take(SPACES);
    const name = scanner.take(TOKEN)?.[0];
    if (name === undefined) return challenges;
    if (!scanner.take(EQUALS)) {
      challenges.push({ scheme: name.toLowerCase(), parameters: Object.create(null) });
      continue;
    }
    const value = scanner.value();
    const current = challenges.at(-1);
    if (value === undefined || !current) return challenges;
    current.parameters[name.toLowerCase()] = value;
  }
}
