/** Rotated logs that are compressed: what a reader gets does not change, whenever it looks. */

import { describe, expect, test } from "bun:test";
import { closeSync, existsSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { gunzipSync, gzipSync } from "node:zlib";
import { lockDirectory } from "../../../src/base/files.ts";
import { compressRotated } from "../../../src/log/compress.ts";
import type { LogEntry, ReadOptions } from "../../../src/log/driver.ts";
import { Follower } from "../../../src/log/follower.ts";
import { read } from "../../../src/log/read.ts";
import { makeFolder } from "../../support/folder.ts";
import { linesOf, numbersOf, range } from "../../support/log-entries.ts";

const all = async (path: string, options: ReadOptions = {}): Promise<number[]> =>
  numbersOf((await Array.fromAsync(read(path, options))).flat());

/** @param texts  of `log`, `log.1`, `log.2`, … */
async function withLog(texts: readonly string[], look: (path: string) => Promise<void>): Promise<void> {
  await using folder = await makeFolder();
  const path = join(folder.path, "log");
  for (const [number, text] of texts.entries()) writeFileSync(number === 0 ? path : `${path}.${number}`, text);
  await look(path);
}

const namesBeside = (path: string): string[] => readdirSync(dirname(path)).toSorted();

describe("compressRotated()", () => {
  test("compressRotated() leaves the current file, and gzip reads the others", async () => {
    await withLog([linesOf(7, 9), linesOf(4, 6), linesOf(1, 3)], async (path) => {
      await compressRotated(path, 3);
      expect(namesBeside(path)).toEqual(["log", "log.1.gz", "log.2.gz"]);
      expect(gunzipSync(readFileSync(`${path}.2.gz`)).toString()).toBe(linesOf(1, 3));
      expect(await all(path)).toEqual(range(1, 9));
    });
  });

  test("compressRotated() finishes what a daemon that died has begun", async () => {
    await withLog([linesOf(4, 6), linesOf(1, 3)], async (path) => {
      writeFileSync(`${path}.1.gz`, gzipSync(linesOf(1, 3)));
      writeFileSync(join(dirname(path), "new-log.gz"), "half");
      expect(await all(path)).toEqual(range(1, 6));
      await compressRotated(path, 3);
      expect(namesBeside(path)).toEqual(["log", "log.1.gz"]);
    });
  });

  test("compressRotated() gives way to a rotation, and takes the file the next time", async () => {
    await withLog([linesOf(4, 6), linesOf(1, 3)], async (path) => {
      const lock = lockDirectory(dirname(path)) ?? -1;
      await compressRotated(path, 3);
      expect(namesBeside(path)).toEqual(["log", "log.1"]);
      closeSync(lock);
      await compressRotated(path, 3);
      expect(namesBeside(path)).toEqual(["log", "log.1.gz"]);
    });
  });

  test("compressRotated() of a log that vanishes is no failure", async () => {
    await withLog([linesOf(1, 3)], async (path) => {
      rmSync(path);
      await compressRotated(path, 3);
      expect(namesBeside(path)).toEqual([]);
    });
  });
});

describe("read() of compressed files", () => {
  test("read() tails into them, and leaves alone what it does not need", async () => {
    await withLog([linesOf(7, 9), linesOf(4, 6)], async (path) => {
      writeFileSync(`${path}.2.gz`, "this is no gzip");
      await compressRotated(path, 2);
      expect(await all(path, { tail: 2 })).toEqual([8, 9]);
      expect(await all(path, { tail: 5 })).toEqual(range(5, 9));
      expect(await all(path, { tail: 0 })).toEqual([]);
    });
  });

  test("read() gives what comes before the damage of a damaged one", async () => {
    await withLog([linesOf(20_001, 20_003)], async (path) => {
      const whole = gzipSync(linesOf(1, 20_000));
      writeFileSync(`${path}.1.gz`, whole.subarray(0, whole.length / 2));
      const found = await all(path);
      expect(found.slice(-3)).toEqual(range(20_001, 20_003));
      expect(found.length).toBeWithin(1000, 20_002);
      expect(found.slice(0, -3)).toEqual(range(1, found.length - 3));
    });
  });

  test("read() leaves no file behind, open or on the disk", async () => {
    const open = () => readdirSync("/proc/self/fd").length;
    await withLog([linesOf(7, 9), linesOf(4, 6), linesOf(1, 3)], async (path) => {
      await compressRotated(path, 3);
      await all(path);
      const before = open();
      await all(path);
      const reading = read(path, {})[Symbol.asyncIterator]();
      await reading.next();
      await reading.return?.(undefined);
      expect(open()).toBe(before);
      expect(namesBeside(path).length).toBe(3);
    });
  });
});

describe("Follower", () => {
  const taken = async (follower: Follower): Promise<{ numbers: number[]; gap: boolean }> => {
    const pieces = await Array.fromAsync(follower.drain());
    const entries: LogEntry[] = pieces.flatMap((piece) => [...piece.entries]);
    return { numbers: numbersOf(entries), gap: pieces.some(({ gap }) => gap) };
  };
  const rotate = (path: string, text: string) => {
    for (let number = 3; number > 0; number--)
      for (const form of number > 1 ? ["", ".gz"] : [""]) {
        const from = `${number > 1 ? `${path}.${number - 1}` : path}${form}`;
        if (existsSync(from)) renameSync(from, `${path}.${number}${form}`);
      }
    writeFileSync(path, text);
  };

  test("a cursor outlives renaming and compression", async () => {
    await withLog([linesOf(1, 3)], async (path) => {
      await using first = await Follower.from(path, undefined);
      expect(await taken(first)).toEqual({ numbers: [1, 2, 3], gap: false });
      const cursor = await first.cursor();
      writeFileSync(path, linesOf(1, 5));
      rotate(path, linesOf(6, 8));
      rotate(path, linesOf(9, 10));
      await compressRotated(path, 4);
      await using second = await Follower.from(path, cursor);
      expect(await taken(second)).toEqual({ numbers: range(4, 10), gap: false });
      expect(await taken(first)).toEqual({ numbers: range(4, 10), gap: false }); // as does one that held it open
    });
  });

  test("a cursor into what is gone begins with what is left, and says so", async () => {
    await withLog([linesOf(4, 6)], async (path) => {
      await using follower = await Follower.from(path, { file: "0".repeat(32), offset: 10 });
      expect(await taken(follower)).toEqual({ numbers: [4, 5, 6], gap: true });
    });
  });

  test("a follower that was slow begins with what is left, and says so", async () => {
    await withLog([linesOf(1, 3)], async (path) => {
      await using follower = await Follower.from(path, undefined);
      await taken(follower);
      rotate(path, linesOf(4, 6));
      rotate(path, linesOf(7, 9));
      for (const number of [1, 2]) rmSync(`${path}.${number}`);
      expect(await taken(follower)).toEqual({ numbers: [7, 8, 9], gap: true });
      expect(await taken(follower)).toEqual({ numbers: [], gap: false });
    });
  });
});
