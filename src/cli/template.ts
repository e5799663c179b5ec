/**
 * Go templates, as far as people write them after `--format`: fields, pipes, `range`, `if`, `with`, and the functions that docker adds.
 * Source: pkg.go.dev/text/template; Docker documentation, "Format command and log output".
 */

import { isObject } from "../base/objects.ts";

type Value = unknown;

/** Where names are looked up. */
interface Scope {
  readonly dot: Value;
  readonly variables: ReadonlyMap<string, Value>;
}

type Node =
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "action"; readonly pipe: Pipe }
  | {
      readonly kind: "if" | "with" | "range";
      readonly pipe: Pipe;
      readonly names: readonly string[];
      readonly then: readonly Node[];
      readonly otherwise: readonly Node[];
    };

type Pipe = readonly Operand[][];

type Operand =
  | { readonly kind: "value"; readonly value: Value }
  | { readonly kind: "path"; readonly variable: string | undefined; readonly names: readonly string[] }
  | { readonly kind: "function"; readonly name: string }
  | { readonly kind: "pipe"; readonly pipe: Pipe; readonly names: readonly string[] };

const broken = (why: string): Error => new Error(`template parsing error: template: :1: ${why}`);

const TOKEN =
  /\s*("(?:\\.|[^"\\])*"|`[^`]*`|\$?[A-Za-z_]\w*(?:\.\w+)*|\$(?:\.\w+)*|(?:\.\w+)+|\.|-?\d+(?:\.\d+)?|:=|[|(),=])/y;

function tokensOf(text: string): string[] {
  const tokens: string[] = [];
  const source = text.trim();
  TOKEN.lastIndex = 0;
  while (TOKEN.lastIndex < source.length) {
    const at = TOKEN.lastIndex;
    const [, token] = TOKEN.exec(source) ?? [];
    if (token === undefined) throw broken(`unexpected ${JSON.stringify(source.slice(at, at + 10))} in command`);
    tokens.push(token);
  }
  return tokens;
}

function operandOf(token: string, rest: string[]): Operand {
  if (token === "(") {
    const pipe = pipeOf(rest, ")");
    const [next = ""] = rest;
    const names = /^\.\w/.test(next) ? (rest.shift() ?? "").slice(1).split(".") : [];
    return { kind: "pipe", pipe, names };
  }
  if (token.startsWith('"')) return { kind: "value", value: JSON.parse(token) };
  if (token.startsWith("`")) return { kind: "value", value: token.slice(1, -1) };
  if (/^-?\d/.test(token)) return { kind: "value", value: Number(token) };
  if (token === "true" || token === "false") return { kind: "value", value: token === "true" };
  if (token === "nil") return { kind: "value", value: null };
  if (token.startsWith(".")) return { kind: "path", variable: undefined, names: token.split(".").filter(Boolean) };
  if (token.startsWith("$")) {
    const [variable = "$", ...names] = token.split(".");
    return { kind: "path", variable, names };
  }
  if (!Object.hasOwn(FUNCTIONS, token)) throw broken(`function ${JSON.stringify(token)} not defined`);
  return { kind: "function", name: token };
}

/** @param end  what closes it; undefined for the end of the tokens */
function pipeOf(tokens: string[], end?: string): Pipe {
  const commands: Operand[][] = [[]];
  for (let token = tokens.shift(); token !== end; token = tokens.shift()) {
    if (token === undefined) throw broken("unclosed left paren");
    if (token === "|") commands.push([]);
    else commands.at(-1)?.push(operandOf(token, tokens));
  }
  if (commands.some((command) => command.length === 0)) throw broken("missing value for command");
  return commands;
}

/** Text and actions, in turn; `{{-` and `-}}` take the white space beside them away. */
function piecesOf(template: string): { readonly action: boolean; readonly text: string }[] {
  const pieces: { action: boolean; text: string }[] = [];
  let trims = false;
  for (let at = 0; at < template.length; ) {
    const open = template.indexOf("{{", at);
    const text = template.slice(at, open < 0 ? undefined : open);
    const cut = open >= 0 && /^\{\{-\s/.test(template.slice(open));
    const left = trims ? text.trimStart() : text;
    pieces.push({ action: false, text: cut ? left.trimEnd() : left });
    if (open < 0) break;
    const close = template.indexOf("}}", open);
    if (close < 0) throw broken("unclosed action");
    const inside = template.slice(open + (cut ? 3 : 2), close);
    trims = /\s-$/.test(inside);
    pieces.push({ action: true, text: trims ? inside.slice(0, -1) : inside });
    at = close + 2;
  }
  return pieces;
}

type Pieces = ReturnType<typeof piecesOf>;

/** @param closers  keywords that end this block; the one that did is left in front */
function blockOf(pieces: Pieces, closers: readonly string[]): Node[] {
  const nodes: Node[] = [];
  for (let piece = pieces[0]; piece; piece = pieces[0]) {
    const [keyword = ""] = piece.action ? piece.text.trim().split(/\s/, 1) : [];
    if (closers.includes(keyword)) return nodes;
    pieces.shift();
    if (!piece.action) nodes.push({ kind: "text", text: piece.text });
    else if (keyword === "if" || keyword === "with" || keyword === "range")
      nodes.push(branchOf(keyword, piece.text.trim().slice(keyword.length), pieces));
    else if (keyword === "end" || keyword === "else") throw broken(`unexpected {{${keyword}}}`);
    else if (!/^\/\*/.test(piece.text.trim())) nodes.push({ kind: "action", pipe: pipeOf(tokensOf(piece.text)) });
  }
  if (closers.length > 0) throw broken("unexpected EOF");
  return nodes;
}

function branchOf(kind: "if" | "with" | "range", text: string, pieces: Pieces): Node {
  const tokens = tokensOf(text);
  const assigned = tokens.indexOf(":=");
  const names = assigned < 0 ? [] : tokens.splice(0, assigned + 1).filter((token) => token.startsWith("$"));
  const pipe = pipeOf(tokens);
  const then = blockOf(pieces, ["else", "end"]);
  const closer = pieces.shift()?.text.trim() ?? "";
  if (closer === "end") return { kind, pipe, names, then, otherwise: [] };
  const chained = /^else\s+(if|with)\s+(.*)$/s.exec(closer);
  if (chained?.[2] !== undefined)
    return { kind, pipe, names, then, otherwise: [branchOf(chained[1] === "if" ? "if" : "with", chained[2], pieces)] };
  const otherwise = blockOf(pieces, ["end"]);
  pieces.shift();
  return { kind, pipe, names, then, otherwise };
}

/** As Go prints values. */
export function printed(value: Value): string {
  if (value === undefined) return "<no value>";
  if (value === null) return "<nil>";
  if (Array.isArray(value)) return `[${value.map(printed).join(" ")}]`;
  if (!isObject(value)) return String(value);
  const entries = Object.entries(value).toSorted(([one], [other]) => (one < other ? -1 : 1));
  return `map[${entries.map(([key, each]) => `${key}:${printed(each)}`).join(" ")}]`;
}

const isTrue = (value: Value): boolean =>
  Array.isArray(value) ? value.length > 0 : isObject(value) ? Object.keys(value).length > 0 : Boolean(value);

function lookUp(value: Value, name: string): Value {
  if (value === undefined || value === null) return undefined;
  if (!isObject(value)) throw new Error(`template: :1: can't evaluate field ${name} in ${printed(value).slice(0, 50)}`);
  return Object.hasOwn(value, name) ? value[name] : undefined;
}

function indexed(value: Value, ...keys: readonly Value[]): Value {
  return keys.reduce((inner: Value, key) => {
    if (!Array.isArray(inner)) return lookUp(inner, String(key));
    if (typeof key !== "number" || key < 0 || key >= inner.length)
      throw new Error(`template: :1: error calling index: index out of range: ${key}`);
    return inner[key];
  }, value);
}

const sizeOf = (value: Value): number =>
  typeof value === "string" || Array.isArray(value) ? value.length : isObject(value) ? Object.keys(value).length : 0;

const listOf = (value: Value): readonly Value[] => (Array.isArray(value) ? value : []);

const formatted = (format: string, values: readonly Value[]): string => {
  const rest = [...values];
  return format.replace(/%(?:%|[-+ 0#]*(\d*)(?:\.(\d+))?([vsdqft]))/g, (all, width, digits, verb) => {
    if (all === "%%") return "%";
    const value = rest.shift();
    const text =
      verb === "q"
        ? JSON.stringify(String(value))
        : verb === "f"
          ? Number(value).toFixed(Number(digits ?? 6))
          : printed(value);
    return all.includes("-") ? text.padEnd(Number(width)) : text.padStart(Number(width));
  });
};

const compares = (one: Value, other: Value): number =>
  typeof one === "number" && typeof other === "number"
    ? one - other
    : String(one) < String(other)
      ? -1
      : String(one) === String(other)
        ? 0
        : 1;

const FUNCTIONS: Readonly<Record<string, (...args: readonly Value[]) => Value>> = {
  json: (value) => JSON.stringify(value ?? null),
  index: indexed,
  len: sizeOf,
  join: (list, separator) => listOf(list).map(printed).join(String(separator)),
  split: (text, separator) => String(text).split(String(separator)),
  lower: (text) => String(text).toLowerCase(),
  upper: (text) => String(text).toUpperCase(),
  title: (text) => String(text).replace(/\b\w/g, (letter) => letter.toUpperCase()),
  pad: (text, before, after) => " ".repeat(Number(before)) + String(text) + " ".repeat(Number(after)),
  truncate: (text, length) => String(text).slice(0, Number(length)),
  print: (...values) => values.map(printed).join(""),
  println: (...values) => `${values.map(printed).join(" ")}\n`,
  printf: (format, ...values) => formatted(String(format), values),
  eq: (first, ...others) => others.some((other) => first === other),
  ne: (one, other) => one !== other,
  lt: (one, other) => compares(one, other) < 0,
  le: (one, other) => compares(one, other) <= 0,
  gt: (one, other) => compares(one, other) > 0,
  ge: (one, other) => compares(one, other) >= 0,
  and: (...values) => values.find((value) => !isTrue(value)) ?? values.at(-1),
  or: (...values) => values.find(isTrue) ?? values.at(-1),
  not: (value) => !isTrue(value),
};

function evaluate(operand: Operand, scope: Scope): Value {
  switch (operand.kind) {
    case "value":
      return operand.value;
    case "path": {
      const { variable, names } = operand;
      const start = variable === undefined ? scope.dot : scope.variables.get(variable);
      return names.reduce(lookUp, start);
    }
    case "pipe":
      return operand.names.reduce(lookUp, run(operand.pipe, scope));
    case "function":
      return FUNCTIONS[operand.name]?.();
  }
}

function run(pipe: Pipe, scope: Scope): Value {
  let piped: readonly Value[] = [];
  for (const [first, ...others] of pipe) {
    if (!first) continue;
    const args = [...others.map((operand) => evaluate(operand, scope)), ...piped];
    if (first.kind !== "function" && args.length > 0) throw broken("can't give argument to non-function");
    piped = [first.kind === "function" ? FUNCTIONS[first.name]?.(...args) : evaluate(first, scope)];
  }
  return piped[0];
}

const entriesOf = (value: Value): readonly (readonly [Value, Value])[] =>
  Array.isArray(value)
    ? [...value.entries()]
    : isObject(value)
      ? Object.entries(value).toSorted(([one], [other]) => (one < other ? -1 : 1))
      : [];

function ranged(node: Extract<Node, { kind: "range" | "if" | "with" }>, value: Value, scope: Scope): string {
  const entries = entriesOf(value);
  if (entries.length === 0) return rendered(node.otherwise, scope);
  return entries
    .map(([key, each]) => {
      const variables = new Map(scope.variables);
      const [first, second] = node.names;
      if (first !== undefined) variables.set(first, second === undefined ? each : key);
      if (second !== undefined) variables.set(second, each);
      return rendered(node.then, { dot: each, variables });
    })
    .join("");
}

function rendered(nodes: readonly Node[], scope: Scope): string {
  return nodes
    .map((node) => {
      if (node.kind === "text") return node.text;
      const value = run(node.pipe, scope);
      if (node.kind === "action") return printed(value);
      if (node.kind === "range") return ranged(node, value, scope);
      if (!isTrue(value)) return rendered(node.otherwise, scope);
      return rendered(node.then, node.kind === "with" ? { ...scope, dot: value } : scope);
    })
    .join("");
}

/** @returns what fills the template in. @throws Error when it is malformed, as soon as it is parsed */
export function parseTemplate(text: string): (data: Value) => string {
  const nodes = blockOf(piecesOf(text), []);
  return (data) => rendered(nodes, { dot: data, variables: new Map([["$", data]]) });
}
