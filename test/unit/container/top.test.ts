import { describe, expect, test } from "bun:test";
import { parseProcesses, psWords } from "../../../src/container/top.ts";

describe("psWords()", () => {
  test.each<[args: string, words: readonly string[]]>([
    ["", ["-ef"]],
    ["  ", ["-ef"]],
    ["aux", ["aux"]],
    ["-o pid,comm  -e", ["-o", "pid,comm", "-e"]],
  ])("psWords(%p) is %p", (args, words) => {
    expect(psWords(args)).toEqual(words);
  });

  test.each(["-o pid=X", "-o user,pid=", "-opid ,PID = x"])("psWords(%p) throws", (args) => {
    expect(() => psWords(args)).toThrow("specifying 'pid=' in ps arguments is not allowed");
  });
});

describe("parseProcesses()", () => {
  test("parseProcesses() keeps ours, their threads, and the blanks of the last column", () => {
    const text = "UID  PID CMD\nroot   1 init\nroot   7 sh -c  x\nroot   - thread\nroot   8 other\nroot   - its\n";
    expect(parseProcesses(text, new Set([7]))).toEqual({
      titles: ["UID", "PID", "CMD"],
      rows: [
        ["root", "7", "sh -c x"],
        ["root", "-", "thread"],
      ],
    });
  });

  test("parseProcesses() throws without a column of pids", () => {
    expect(() => parseProcesses("UID CMD\n", new Set())).toThrow("Couldn't find PID field in ps output");
  });
});
