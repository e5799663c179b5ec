import { describe, expect, test } from "bun:test";
import { type Duplex, duplexPair } from "node:stream";
import { couple, DetachKeys, parseDetachKeys } from "../../../src/container/stdio.ts";

describe("parseDetachKeys()", () => {
  test.each<[text: string, keys: readonly number[]]>([
    ["", [16, 17]],
    ["ctrl-p,ctrl-q", [16, 17]],
    ["a", [97]],
    ["ctrl-a,b,ctrl-z", [1, 98, 26]],
    ["ctrl-@,ctrl-[,ctrl-\\,ctrl-],ctrl-^,ctrl-_", [0, 27, 28, 29, 30, 31]],
    ["1,Z,~", [49, 90, 126]],
  ])("parseDetachKeys(%p) is %p", (text, keys) => {
    expect(parseDetachKeys(text)).toEqual(keys);
  });

  test.each(["ctrl-", "ctrl-pq", "ctrl-P", "ab", "a,", ",", "ü", "ctrl-ü", "^P"])(
    "parseDetachKeys(%p) throws",
    (text) => {
      expect(() => parseDetachKeys(text)).toThrow("Invalid escape keys");
    },
  );
});

/** What comes through when `input` is cut at `cuts`. */
async function through(
  keys: readonly number[],
  input: readonly number[],
  cuts: readonly number[],
): Promise<{ out: number[]; detached: boolean }> {
  const stream = new DetachKeys(keys);
  const out: number[] = [];
  const ended = new Promise<void>((resolve) =>
    stream.on("data", (chunk: Buffer) => out.push(...chunk)).once("end", resolve),
  );
  let from = 0;
  for (const cut of [...cuts, input.length]) {
    stream.write(Buffer.from(input.slice(from, cut)));
    from = cut;
  }
  stream.end();
  await ended;
  return { out, detached: stream.detached };
}

/** The obvious way, on the whole input. */
function expected(keys: readonly number[], input: readonly number[]): { out: number[]; detached: boolean } {
  const at = Buffer.from(input).indexOf(Buffer.from(keys));
  return { out: input.slice(0, at < 0 ? undefined : at), detached: at >= 0 };
}

describe("DetachKeys", () => {
  const [p, q, x] = [16, 17, 120];

  test.each<[name: string, input: readonly number[]]>([
    ["the sequence alone", [p, q]],
    ["words and the sequence", [x, x, p, q]],
    ["what follows the sequence", [x, p, q, x, x]],
    ["a beginning that goes on otherwise", [p, x, q]],
    ["a beginning twice", [p, p, q]],
    ["a beginning at the end", [x, p]],
    ["the end without the beginning", [q, q, x]],
    ["nothing", []],
  ])("DetachKeys handles %s when it comes in any two pieces", async (_, input) => {
    for (let cut = 0; cut <= input.length; cut++)
      expect(await through([p, q], input, [cut])).toEqual(expected([p, q], input));
  });

  test("DetachKeys finds sequences that repeat themselves at every place and every split", async () => {
    const [a, b] = [97, 98];
    const words = (length: number): number[][] =>
      length === 0
        ? [[]]
        : words(length - 1).flatMap((word) => [
            [...word, a],
            [...word, b],
          ]);
    for (const keys of [[a], [a, a], [a, b], [a, a, b], [a, b, a], [a, b, a, b, b]])
      for (const input of words(6))
        for (const cuts of [[], [1], [3], [2, 4], [1, 2, 3, 4, 5]])
          expect(await through(keys, input, cuts)).toEqual(expected(keys, input));
  });
});

/** All that comes until the end; unlike iterating, it leaves the other direction open. */
const textOf = (stream: Duplex): Promise<string> =>
  new Promise((resolve) => {
    let text = "";
    stream.on("data", (chunk: Buffer) => {
      text += chunk.toString();
    });
    stream.once("end", () => resolve(text));
  });

describe("couple()", () => {
  const setUp = () => {
    const [client, user] = duplexPair();
    const [task, program] = duplexPair();
    return { client, user, task, program };
  };

  test("couple() brings bytes both ways until the task ends", async () => {
    const { client, user, task, program } = setUp();
    const coupled = couple(client, task, { stdin: true, detachKeys: undefined });
    user.end("typed");
    expect(await textOf(program)).toBe("typed"); // with the end of stdin
    program.end("printed");
    expect(await coupled).toBe("ended");
    client.end();
    expect(await textOf(user)).toBe("printed");
  });

  test("couple() without stdin gives nothing of what the client types", async () => {
    const { client, user, task, program } = setUp();
    const coupled = couple(client, task, { stdin: false, detachKeys: undefined });
    const typed: Buffer[] = [];
    program.on("data", (chunk: Buffer) => typed.push(chunk));
    user.write("typed");
    program.end("printed");
    expect(await coupled).toBe("ended");
    expect(typed).toEqual([]);
  });

  test("couple() ends as detached when the keys are pressed, and what was typed before arrives", async () => {
    const { client, user, task, program } = setUp();
    const typed: Buffer[] = [];
    program.on("data", (chunk: Buffer) => typed.push(chunk));
    const coupled = couple(client, task, { stdin: true, detachKeys: [16, 17] });
    user.write("last words\x10\x11lost");
    expect(await coupled).toBe("detached");
    expect(Buffer.concat(typed).toString()).toBe("last words");
  });

  test("couple() with keys passes the client's end on", async () => {
    const { client, user, task, program } = setUp();
    const coupled = couple(client, task, { stdin: true, detachKeys: [16, 17] });
    user.end("typed\x10");
    expect(await textOf(program)).toBe("typed\x10");
    program.end();
    expect(await coupled).toBe("ended");
  });

  test("couple() ends as left when the client goes", async () => {
    const { client, task } = setUp();
    const coupled = couple(client, task, { stdin: true, detachKeys: undefined });
    client.destroy();
    expect(await coupled).toBe("left");
    expect(task.destroyed).toBe(true);
  });
});

test("couple() is over at once when the task has ended before", async () => {
  const [task, shim] = duplexPair();
  shim.end();
  task.resume();
  await new Promise((resolve) => task.once("end", resolve));
  const [client] = duplexPair();
  expect(await couple(client, task, { stdin: false, detachKeys: undefined })).toBe("ended");
});
