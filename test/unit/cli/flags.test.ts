import { describe, expect, test } from "bun:test";
import { helpText, parseFlags, type Specs } from "../../../src/cli/flags.ts";

const SPECS: Specs = {
  all: { kind: "bool", short: "a", help: "Everything" },
  env: { kind: "list", short: "e", help: "Variables" },
  interactive: { kind: "bool", short: "i", help: "Keep stdin open" },
  name: { kind: "text", short: "n", help: "A name" },
  rm: { kind: "bool", help: "Remove" },
  tty: { kind: "bool", short: "t", help: "A terminal" },
};

const parse = (line: string | readonly string[], stopAtArgument = false) => {
  const flags = parseFlags(typeof line === "string" ? line.split(" ").filter((word) => word !== "") : line, SPECS, {
    stopAtArgument,
  });
  return { values: Object.fromEntries(flags.values), args: flags.args };
};

describe("parseFlags()", () => {
  test.each<[line: string, values: object, args: string[]]>([
    ["", {}, []],
    ["one two", {}, ["one", "two"]],
    ["--all one", { all: ["true"] }, ["one"]],
    ["one --all", { all: ["true"] }, ["one"]],
    ["--all=false", { all: ["false"] }, []],
    ["-a", { all: ["true"] }, []],
    ["-it", { interactive: ["true"], tty: ["true"] }, []],
    ["-ita", { interactive: ["true"], tty: ["true"], all: ["true"] }, []],
    ["-rm", { rm: ["true"] }, []],
    ["--name x", { name: ["x"] }, []],
    ["--name=x=y", { name: ["x=y"] }, []],
    ["--name=", { name: [""] }, []],
    ["-n x", { name: ["x"] }, []],
    ["-nx", { name: ["x"] }, []],
    ["-n=x", { name: ["x"] }, []],
    ["-itn x", { interactive: ["true"], tty: ["true"], name: ["x"] }, []],
    ["-eA=1 -e B --env C=2", { env: ["A=1", "B", "C=2"] }, []],
    ["--name -a", { name: ["-a"] }, []],
    ["-- --all -x", {}, ["--all", "-x"]],
    ["-a -- one", { all: ["true"] }, ["one"]],
    ["- one", {}, ["-", "one"]],
    ["-a=false", { all: ["false"] }, []],
  ])("parseFlags(%p)", (line, values, args) => {
    expect(parse(line)).toEqual({ values, args } as ReturnType<typeof parse>);
  });

  test("parseFlags() stops at the first argument when the rest is a program's", () => {
    expect(parse("-i image -t --all", true)).toEqual({
      values: { interactive: ["true"] },
      args: ["image", "-t", "--all"],
    });
    expect(parse("-i -- image -t", true)).toEqual({ values: { interactive: ["true"] }, args: ["image", "-t"] });
  });

  test.each<[line: string, words: string]>([
    ["--colour", "unknown flag: --colour"],
    ["--toString", "unknown flag: --toString"],
    ["-x", "unknown shorthand flag: 'x' in -x"],
    ["-ix", "unknown shorthand flag: 'x' in -ix"],
    ["--name", "flag needs an argument: --name"],
    ["-n", "flag needs an argument: 'n' in -n"],
    ["-in", "flag needs an argument: 'n' in -in"],
  ])("parseFlags(%p) throws", (line, words) => {
    expect(() => parse(line)).toThrow(words);
  });
});

describe("Flags", () => {
  const flags = (line: string) => parseFlags(line.split(" "), SPECS);

  test("on() reads booleans as Go does, with a fallback", () => {
    expect(["--all", "--all=1", "--all=T", "--all=false", "--all=0"].map((line) => flags(line).on("all"))).toEqual([
      true,
      true,
      true,
      false,
      false,
    ]);
    expect([flags("x").on("all"), flags("x").on("all", true)]).toEqual([false, true]);
    expect(() => flags("--all=maybe").on("all")).toThrow('invalid argument "maybe" for "--all" flag: invalid syntax');
  });

  test("number() reads numbers, and text() the last of several", () => {
    expect(flags("--name 1.5").number("name")).toBe(1.5);
    expect(flags("--name 1 --name 2").text("name")).toBe("2");
    expect(flags("x").number("name")).toBeUndefined();
    expect(() => flags("--name=").number("name")).toThrow("invalid syntax");
    expect(() => flags("--name=x").number("name")).toThrow("invalid syntax");
  });
});

test("helpText() lists flags with their short names and kinds", () => {
  const lines = helpText("do [OPTIONS]", "Do it", SPECS).split("\n");
  expect(lines.slice(0, 3)).toEqual(["Usage:  bosun do [OPTIONS]", "", "Do it"]);
  expect(lines).toContain("  -a, --all                      Everything");
  expect(lines).toContain("  -e, --env list                 Variables");
  expect(lines).toContain("      --rm                       Remove");
});
