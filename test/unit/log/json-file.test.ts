/** Reading json-file logs back: whole, from the end, by time, over rotations and while they are written. */

import { describe, expect, test } from "bun:test";
import { appendFileSync, linkSync, renameSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { LogEntry, LogSubject, ReadOptions } from "../../../src/log/driver.ts";
import { timeNs } from "../../../src/log/driver.ts";
import { jsonFileLog } from "../../../src/log/driver-json-file.ts";
import { noLog } from "../../../src/log/driver-none.ts";
import { makeFolder } from "../../support/folder.ts";

const time = (number: number): string => `2024-01-01T00:00:00.${String(number).padStart(9, "0")}Z`;
const entry = (number: number, stream: "stdout" | "stderr" = "stdout"): string =>
  `${JSON.stringify({ log: `line ${number}\n`, stream, time: time(number) })}\n`;
const entries = (from: number, to: number): string =>
  Array.from({ length: to - from + 1 }, (_, at) => entry(from + at)).join("");
const numbers = (lines: readonly LogEntry[]): number[] =>
  lines.map(({ line }) => Number(/^line (\d+)\n$/.exec(line)?.[1]));
const range = (from: number, to: number): number[] =>
  Array.from({ length: Math.max(0, to - from + 1) }, (_, at) => from + at);

async function read(path: string, options: ReadOptions = {}): Promise<LogEntry[]> {
  return (await Array.fromAsync(jsonFileLog.read(path, options))).flat();
}

/** @param texts  of `log`, `log.1`, `log.2`, … */
async function withLog(texts: readonly string[], look: (path: string) => Promise<void>): Promise<void> {
  await using folder = await makeFolder();
  const path = join(folder.path, "log");
  for (const [number, text] of texts.entries()) writeFileSync(number === 0 ? path : `${path}.${number}`, text);
  await look(path);
}

describe("read() of a log that is written no more", () => {
  test("read() gives entries with stream, time and line", async () => {
    await withLog([entry(1) + entry(2, "stderr")], async (path) => {
      expect(await read(path)).toEqual([
        { line: "line 1\n", stream: "stdout", time: time(1) },
        { line: "line 2\n", stream: "stderr", time: time(2) },
      ]);
    });
  });

  test("read() of a log that is missing or empty gives nothing", async () => {
    await withLog([], async (path) => expect(await read(path)).toEqual([]));
    await withLog([""], async (path) => expect(await read(path, { tail: 3 })).toEqual([]));
  });

  test("read() goes through rotated files, oldest first", async () => {
    await withLog([entries(7, 9), entries(4, 6), entries(1, 3)], async (path) =>
      expect(numbers(await read(path))).toEqual(range(1, 9)),
    );
  });

  test("read() skips what is damaged or cut off, and keeps the rest", async () => {
    const damaged = `${entry(1)}{"log":"broken\n${entry(2)}null\n7\n"x"\n{"log":1,"time":"x"}\n\0\0\0\n${entry(3)}{"log":"torn`;
    await withLog([damaged], async (path) => {
      expect(numbers(await read(path))).toEqual([1, 2, 3]);
      expect(numbers(await read(path, { tail: 1 }))).toEqual([3]);
    });
  });

  test("read() keeps lines whole that are longer than what is read at once", async () => {
    const long = JSON.stringify({ log: `${"ü".repeat(400_000)}\n`, stream: "stdout", time: time(2) });
    await withLog([`${entry(1)}${long}\n${entry(3)}`], async (path) => {
      const lines = await read(path);
      expect(lines.map(({ line }) => line.length)).toEqual([7, 400_001, 7]);
      expect((await read(path, { tail: 2 })).map(({ line }) => line.length)).toEqual([400_001, 7]);
    });
  });

  test("read() meets a file once that is being renamed, and a gap in the numbers", async () => {
    await withLog([entries(4, 6)], async (path) => {
      linkSync(path, `${path}.1`); // as it looks to one who opens `log` before and `log.1` after the renaming
      expect(numbers(await read(path))).toEqual([4, 5, 6]);
      rmSync(`${path}.1`);
      writeFileSync(`${path}.2`, entries(1, 3)); // `log.1` has become `log.2`, and `log` is not yet `log.1`
      expect(numbers(await read(path))).toEqual(range(1, 6));
    });
  });
});

describe("read() with tail", () => {
  const texts = [entries(7, 9), entries(4, 6), entries(1, 3)];

  test("read() gives the last lines, over as many files as it takes", async () => {
    await withLog(texts, async (path) => {
      for (let tail = 0; tail <= 12; tail++)
        expect([tail, ...numbers(await read(path, { tail }))]).toEqual([tail, ...range(Math.max(1, 10 - tail), 9)]);
    });
  });

  test("read() finds the beginning of the tail wherever it lies in what is read at once", async () => {
    // 256 KiB at once; entries of about 80 bytes
    await withLog([entries(1, 10_000)], async (path) => {
      for (const tail of [1, 2, 3000, 3276, 3277, 6554, 9999, 10_000, 10_001]) {
        const found = numbers(await read(path, { tail }));
        expect([found.length, found.at(0), found.at(-1)]).toEqual([
          Math.min(tail, 10_000),
          Math.max(1, 10_001 - tail),
          10_000,
        ]);
      }
    });
  });
});

describe("read() by time", () => {
  test.each<[since: number | undefined, until: number | undefined, tail: number | undefined, from: number, to: number]>(
    [
      [5, undefined, undefined, 5, 9],
      [undefined, 5, undefined, 1, 5],
      [3, 6, undefined, 3, 6],
      [3, 6, 2, 5, 6],
      [3, undefined, 100, 3, 9],
      [3, undefined, 0, 1, 0],
      [10, undefined, undefined, 1, 0],
      [6, 5, undefined, 1, 0],
    ],
  )("read() since %p until %p, the last %p", async (since, until, tail, from, to) => {
    const ns = (number: number) => timeNs(time(number));
    const options = {
      ...(since !== undefined && { since: ns(since) }),
      ...(until !== undefined && { until: ns(until) }),
      ...(tail !== undefined && { tail }),
    };
    await withLog([entries(7, 9), entries(4, 6), entries(1, 3)], async (path) =>
      expect(numbers(await read(path, options))).toEqual(range(from, to)),
    );
  });

  test.each([
    ["2024-01-01T00:00:00Z", 1704067200000000000n],
    ["2024-01-01T00:00:00.5Z", 1704067200500000000n],
    ["2024-01-01T00:00:00.000000001Z", 1704067200000000001n],
    ["2024-01-01T00:00:00.123456789Z", 1704067200123456789n],
    ["1970-01-01T00:00:00Z", 0n],
  ])("timeNs(%p) is %p", (text, ns) => {
    expect(timeNs(text)).toBe(ns);
  });
});

/** Changes that the test tells: `tell()` returns when the reader has seen all there was. */
class Changes implements AsyncIterable<void> {
  #wake = Promise.withResolvers<boolean>();
  #seen = Promise.withResolvers<void>();

  async *[Symbol.asyncIterator](): AsyncGenerator<void> {
    while (await this.#wake.promise) {
      this.#wake = Promise.withResolvers<boolean>();
      yield;
      this.#seen.resolve();
    }
  }

  async tell(): Promise<void> {
    this.#seen = Promise.withResolvers<void>();
    this.#wake.resolve(true);
    await this.#seen.promise;
  }

  end(): void {
    this.#wake.resolve(false);
  }
}

interface Following {
  readonly path: string;
  readonly seen: LogEntry[];
  readonly changes: Changes;
}

async function following(
  texts: readonly string[],
  options: ReadOptions,
  act: (following: Following) => Promise<void>,
): Promise<number[]> {
  const seen: LogEntry[] = [];
  await withLog(texts, async (path) => {
    const changes = new Changes();
    const reading = (async () => {
      for await (const batch of jsonFileLog.read(path, { ...options, changes })) seen.push(...batch);
    })();
    await act({ path, seen, changes });
    changes.end();
    await reading;
  });
  return numbers(seen);
}

/** As the shim does it. */
function rotate(path: string, keep: number): void {
  for (let number = keep - 1; number > 0; number--)
    try {
      renameSync(number > 1 ? `${path}.${number - 1}` : path, `${path}.${number}`);
    } catch {
      // there are not so many yet
    }
  writeFileSync(path, "");
}

describe("read() that follows", () => {
  test("read() gives what is written later, and the last of it when the end is told", async () => {
    const found = await following([entries(1, 2)], {}, async ({ path, changes, seen }) => {
      await changes.tell();
      expect(numbers(seen)).toEqual([1, 2]);
      appendFileSync(path, entry(3));
      await changes.tell();
      expect(numbers(seen)).toEqual([1, 2, 3]);
      appendFileSync(path, entry(4));
    });
    expect(found).toEqual([1, 2, 3, 4]);
  });

  test("read() waits for the end of a line that is not whole", async () => {
    const text = entry(2);
    for (const cut of [0, 1, 10, text.length - 1]) {
      const found = await following([entry(1) + text.slice(0, cut)], { tail: 1 }, async ({ path, changes, seen }) => {
        await changes.tell();
        expect(numbers(seen)).toEqual([1]);
        appendFileSync(path, text.slice(cut));
      });
      expect(found).toEqual([1, 2]);
    }
  });

  test("read() of a log that is not there yet follows it from its beginning", async () => {
    const found = await following([], {}, async ({ path, changes }) => {
      await changes.tell();
      writeFileSync(path, entries(1, 2));
    });
    expect(found).toEqual([1, 2]);
  });

  test("read() follows a rotation, with what was written before and after it", async () => {
    const found = await following([entries(1, 2)], {}, async ({ path, changes }) => {
      await changes.tell();
      appendFileSync(path, entry(3));
      rotate(path, 3);
      appendFileSync(path, entry(4));
      await changes.tell();
      appendFileSync(path, entry(5));
    });
    expect(found).toEqual([1, 2, 3, 4, 5]);
  });

  test("read() loses nothing when it is rotated several times between two looks", async () => {
    const found = await following([entries(1, 2)], {}, async ({ path, changes }) => {
      await changes.tell();
      for (let number = 3; number <= 6; number++) {
        appendFileSync(path, entry(number));
        rotate(path, 9);
      }
      appendFileSync(path, entry(7));
    });
    expect(found).toEqual([1, 2, 3, 4, 5, 6, 7]);
  });

  test("read() goes on with the oldest that is left when rotations have overtaken it", async () => {
    const found = await following([entry(1)], {}, async ({ path, changes }) => {
      await changes.tell();
      for (let number = 2; number <= 9; number++) {
        rotate(path, 3);
        appendFileSync(path, entry(number));
      }
    });
    expect(found).toEqual([1, 7, 8, 9]);
  });

  test("read() follows a log of one file, which is emptied when it is full", async () => {
    const found = await following([entries(1, 5)], {}, async ({ path, changes }) => {
      await changes.tell();
      truncateSync(path);
      appendFileSync(path, entry(6));
      await changes.tell();
      appendFileSync(path, entry(7));
    });
    expect(found).toEqual([1, 2, 3, 4, 5, 6, 7]);
  });

  test("read() with tail 0 gives only what is new, and keeps since", async () => {
    const options = { tail: 0, since: timeNs(time(4)) };
    const found = await following([entries(1, 2)], options, async ({ path, changes }) => {
      await changes.tell();
      appendFileSync(path, entries(3, 5));
    });
    expect(found).toEqual([4, 5]);
  });

  test("read() closes its files when the reader leaves", async () => {
    const open = () => new Set([...new Bun.Glob("*").scanSync({ cwd: "/proc/self/fd", onlyFiles: false })]).size;
    await withLog([entries(1, 2), entry(0)], async (path) => {
      const before = open();
      const reading = jsonFileLog.read(path, { changes: new Changes() })[Symbol.asyncIterator]();
      await reading.next();
      await reading.return?.();
      expect(open()).toBe(before);
    });
  });
});

const SUBJECT: LogSubject = {
  id: "ab".repeat(32),
  name: "web",
  image: "nginx:1",
  imageId: `sha256:${"cd".repeat(32)}`,
  labels: { "com.example.team": "blue", tier: "front" },
  env: ["MODE=x=y", "EMPTY=", "SECRET=s"],
  command: ["nginx", "-g"],
  created: time(0),
};

describe("target()", () => {
  const target = (options: Record<string, string>) => jsonFileLog.target("/log", options, SUBJECT);

  test.each<[options: Record<string, string>, attributes: Record<string, string> | undefined]>([
    [{}, undefined],
    [{ labels: "tier, nothing" }, { tier: "front" }],
    [{ "labels-regex": "^com\\." }, { "com.example.team": "blue" }],
    [{ env: "MODE,EMPTY" }, { MODE: "x=y", EMPTY: "" }],
    [{ "env-regex": "^M" }, { MODE: "x=y" }],
    [{ tag: "{{.Name}}/{{.ID}}/{{ .ImageName }}" }, { tag: `web/${"ab".repeat(6)}/nginx:1` }],
    [
      { tag: "{{.ImageID}} {{.DaemonName}}", labels: "tier" },
      { tier: "front", tag: `${"cd".repeat(6)} docker` },
    ],
  ])("target() of %p says of each line", (options, attributes) => {
    expect(target(options)?.attributes).toEqual(attributes as Record<string, string>);
  });

  test.each<[options: Record<string, string>, maxSize: number, maxFiles: number]>([
    [{}, 100 << 20, 3],
    [{ "max-size": "-1" }, 0, 1],
    [{ "max-size": "100" }, 100, 1],
    [{ "max-size": "10k" }, 10_240, 1],
    [{ "max-size": "1M", "max-file": "5" }, 1 << 20, 5],
    [{ "max-size": "2gb" }, 2 ** 31, 1],
  ])("target() of %p", (options, maxSize, maxFiles) => {
    expect(target(options)).toEqual({ path: "/log", maxSize, maxFiles, compress: false });
  });

  test.each<[options: Record<string, string>, words: string]>([
    [{ colour: "red" }, "unknown log opt 'colour' for json-file log driver"],
    [{ "max-size": "much" }, "invalid value for log option max-size"],
    [{ "max-size": "1.5m" }, "invalid value for log option max-size"],
    [{ "max-size": "1m", "max-file": "0" }, "invalid value for log option max-file"],
    [{ "max-size": "1m", "max-file": "x" }, "invalid value for log option max-file"],
    [{ "env-regex": "(" }, "invalid value for log option env-regex"],
    [{ tag: "{{range .}}" }, "cannot use {{range .}}"],
    [{ compress: "perhaps" }, "invalid value for log option compress"],
    [{ compress: "true", "max-size": "1m" }, "compress cannot be true when max-file is less than 2"],
    [{ compress: "true", "max-size": "-1" }, "compress cannot be true when max-file is less than 2"],
    [{ mode: "fast" }, "logger: logging mode not supported: fast"],
    [{ "max-buffer-size": "4m" }, "max-buffer-size option is only supported with 'mode=non-blocking'"],
    [{ mode: "non-blocking", "max-buffer-size": "lots" }, "invalid size: 'lots'"],
    [{ "cache-disabled": "perhaps" }, "invalid value for option cache-disabled: perhaps"],
  ])("target() of %p throws", (options, words) => {
    expect(() => target(options)).toThrow(words);
  });
});

test("the driver none writes nothing and says that it cannot be read", () => {
  expect(noLog.target("/log", {}, SUBJECT)).toBeUndefined();
  expect(() => noLog.read("/log", {})).toThrow("configured logging driver does not support reading");
});
