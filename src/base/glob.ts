/**
 * Shell patterns as Go's path.Match reads them: `*` and `?` stop at a slash, `[a-z]` and `[^a-z]` are classes, `\` takes the next
 * character as it is. Docker's filters are made of these. Source: pkg.go.dev/path#Match.
 */

import { invalid } from "./errors.ts";

type Range = readonly [low: string, high: string];
type Token =
  | { readonly kind: "star" }
  | { readonly kind: "any" }
  | { readonly kind: "literal"; readonly text: string }
  | { readonly kind: "class"; readonly negated: boolean; readonly ranges: readonly Range[] };

const malformed = () => invalid("syntax error in pattern");

/** @returns one character of a class and where the next begins. */
function classCharacter(pattern: readonly string[], at: number): readonly [text: string, next: number] {
  const escaped = pattern[at] === "\\";
  const text = pattern[escaped ? at + 1 : at];
  if (text === undefined || (!escaped && (text === "-" || text === "]"))) throw malformed();
  return [text, escaped ? at + 2 : at + 1];
}

/** @param at  index after the `[` */
function parseClass(pattern: readonly string[], at: number): readonly [Token, next: number] {
  const negated = pattern[at] === "^";
  const ranges: Range[] = [];
  let next = negated ? at + 1 : at;
  while (pattern[next] !== "]" || ranges.length === 0) {
    const [low, afterLow] = classCharacter(pattern, next);
    if (pattern[afterLow] === "-") {
      const [high, afterHigh] = classCharacter(pattern, afterLow + 1);
      ranges.push([low, high]);
      next = afterHigh;
    } else {
      ranges.push([low, low]);
      next = afterLow;
    }
  }
  return [{ kind: "class", negated, ranges }, next + 1];
}

function parse(text: string): readonly Token[] {
  const pattern = [...text];
  const tokens: Token[] = [];
  for (let at = 0; at < pattern.length; ) {
    const character = pattern[at] ?? "";
    if (character === "[") {
      const [token, next] = parseClass(pattern, at + 1);
      tokens.push(token);
      at = next;
    } else if (character === "\\") {
      const escaped = pattern[at + 1];
      if (escaped === undefined) throw malformed();
      tokens.push({ kind: "literal", text: escaped });
      at += 2;
    } else {
      tokens.push(
        character === "*"
          ? { kind: "star" }
          : character === "?"
            ? { kind: "any" }
            : { kind: "literal", text: character },
      );
      at++;
    }
  }
  return tokens;
}

function accepts(token: Token, character: string): boolean {
  switch (token.kind) {
    case "any":
      return character !== "/";
    case "literal":
      return token.text === character;
    case "class":
      return (
        character !== "/" && token.negated !== token.ranges.some(([low, high]) => low <= character && character <= high)
      );
    case "star":
      return false;
  }
}

/**
 * Takes time proportional to pattern times text at worst: on a mismatch only the last `*` is widened, which suffices because none
 * crosses a slash.
 * @returns whether the pattern describes all of `text`
 * @throws  invalid when the pattern is malformed
 */
export function matchesGlob(pattern: string, text: string): boolean {
  const tokens = parse(pattern);
  const characters = [...text];
  let star = -1;
  let resume = 0;
  let token = 0;
  let at = 0;
  while (at < characters.length) {
    const current = tokens[token];
    if (current?.kind === "star") {
      star = token++;
      resume = at;
    } else if (current && accepts(current, characters[at] ?? "")) {
      token++;
      at++;
    } else if (star >= 0 && characters[resume] !== "/") {
      token = star + 1;
      at = ++resume;
    } else {
      return false;
    }
  }
  return tokens.slice(token).every((rest) => rest.kind === "star");
}
