import { describe, expect, test } from "bun:test";
import { type Flag, parseFlags } from "../../../src/oci-runtime/flags.ts";
import { failureOf } from "../../support/errors.ts";

const FLAGS: readonly Flag[] = [
  { name: "bundle", short: "b", value: "DIR", help: "" },
  { name: "env", short: "e", value: "V", many: true, help: "" },
  { name: "count", value: "N", help: "" },
  { name: "force", short: "f", help: "" },
];

describe("parseFlags()", () => {
  test("takes one dash or two, a value behind = or as the next word", () => {
    const flags = parseFlags(FLAGS, ["--bundle", "/a", "-e", "A=b", "-env=C=d", "-f", "id", "-x", "--", "y"]);
    expect([flags.text("bundle"), flags.texts("env"), flags.has("force")]).toEqual(["/a", ["A=b", "C=d"], true]);
    expect(flags.args).toEqual(["id", "-x", "--", "y"]);
  });

  test("-- ends the options; what was not given is not there", () => {
    const flags = parseFlags(FLAGS, ["--force=false", "--", "--bundle"]);
    expect([flags.has("force"), flags.text("bundle"), flags.number("count"), flags.args]).toEqual([
      false,
      undefined,
      undefined,
      ["--bundle"],
    ]);
  });

  test("refuses what it does not know, and values that are missing or no numbers", async () => {
    const failure = (...words: string[]) => failureOf(async () => parseFlags(FLAGS, words).number("count"));
    expect(await failure("--nosuch")).toBe("invalid: flag provided but not defined: -nosuch");
    expect(await failure("--bundle")).toBe("invalid: flag needs an argument: -bundle");
    expect(await failure("--count", "x")).toBe('invalid: invalid value "x" for flag -count');
  });
});
