/** The small forms of the wire: frames, JSON lines, progress, filters, registry credentials, times. */

import { describe, expect, test } from "bun:test";
import { Filters, parseFilters } from "../../../src/api/filters.ts";
import { frame, STDERR, STDOUT } from "../../../src/api/frames.ts";
import { jsonLines, streamError } from "../../../src/api/jsonl.ts";
import { humanSize, progressLine, reported } from "../../../src/api/progress.ts";
import { registryAuth } from "../../../src/api/registry-auth.ts";
import { parseTime } from "../../../src/api/times.ts";

describe("frame()", () => {
  test.each<[stream: number, payload: string, head: number[]]>([
    [STDOUT, "", [1, 0, 0, 0, 0, 0, 0, 0]],
    [STDERR, "abc", [2, 0, 0, 0, 0, 0, 0, 3]],
    [STDOUT, "x".repeat(0x010203), [1, 0, 0, 0, 0, 1, 2, 3]],
  ])("frame(%p) has Docker's 8 bytes before the payload", (stream, payload, head) => {
    const framed = Buffer.from(frame(stream, Buffer.from(payload)));
    expect([...framed.subarray(0, 8)]).toEqual(head);
    expect(framed.subarray(8).toString() === payload).toBe(true);
  });
});

describe("jsonLines()", () => {
  async function* objects(...all: unknown[]): AsyncGenerator<unknown> {
    for (const one of all) {
      if (one instanceof Error) throw one;
      yield one;
    }
  }

  test("jsonLines() is a line for an object, texts as they are", async () => {
    const response = jsonLines(objects({ a: "<&>" }, { b: 1 }), "\n");
    expect(response.headers.get("Content-Type")).toBe("application/json");
    expect(await response.text()).toBe('{"a":"<&>"}\n{"b":1}\n');
    expect(await jsonLines(objects({ a: 1 }), "\r\n").text()).toBe('{"a":1}\r\n');
  });

  test("jsonLines() ends with the failure, in Docker's form", async () => {
    const text = await jsonLines(objects({ a: 1 }, new Error("it broke")), "\r\n", streamError).text();
    expect(text).toBe('{"a":1}\r\n{"errorDetail":{"message":"it broke"},"error":"it broke"}\r\n');
  });

  test("jsonLines() pulls no further than the reader reads, and ends the source when it leaves", async () => {
    let made = 0;
    let ended = false;
    const source = (async function* () {
      try {
        for (;;) yield { count: ++made };
      } finally {
        ended = true;
      }
    })();
    const reader = jsonLines(source, "\n").body?.getReader();
    expect(made).toBe(0);
    await reader?.read();
    expect(made).toBe(1);
    await reader?.cancel();
    expect([made, ended]).toEqual([1, true]);
  });
});

describe("progressLine()", () => {
  test.each<[progress: Parameters<typeof progressLine>[0], line: object]>([
    [
      { status: "Pulling from library/x", id: "latest" },
      { status: "Pulling from library/x", id: "latest" },
    ],
    [{ status: "Status: done" }, { status: "Status: done" }],
    [
      { id: "abc", status: "Waiting", detail: { current: 0, total: 0 } },
      { status: "Waiting", progressDetail: {}, id: "abc" },
    ],
    [
      { id: "abc", status: "Downloading", detail: { current: 500, total: 1000 } },
      {
        status: "Downloading",
        progressDetail: { current: 500, total: 1000 },
        progress: `[${"=".repeat(25)}>${" ".repeat(25)}]     500B/1kB`,
        id: "abc",
      },
    ],
    [
      { id: "abc", status: "Extracting", detail: { current: 1_234_000, total: 0 } },
      { status: "Extracting", progressDetail: { current: 1_234_000 }, progress: " 1.234MB", id: "abc" },
    ],
  ])("progressLine(%p)", (progress, line) => {
    expect(progressLine(progress)).toEqual(line);
  });

  test.each([
    [0, "0B"],
    [999, "999B"],
    [1000, "1kB"],
    [1234, "1.234kB"],
    [12_345, "12.35kB"],
    [123_456, "123.5kB"],
    [5_000_000, "5MB"],
    [1e15, "1PB"],
    [1e18, "1000PB"],
  ])("humanSize(%p) is %p", (bytes, text) => {
    expect(humanSize(bytes)).toBe(text);
  });
});

describe("reported()", () => {
  test("reported() streams what work reports, and ends with it", async () => {
    const items = await reported<number>(async (report) => {
      report(1);
      await Promise.resolve();
      report(2);
      report(3);
    });
    expect(await Array.fromAsync(items)).toEqual([1, 2, 3]);
  });

  test("reported() throws itself what fails before the first report, and in the stream what fails later", async () => {
    await expect(reported(() => Promise.reject(new Error("at once")))).rejects.toThrow("at once");
    const items = await reported<number>(async (report) => {
      report(1);
      throw new Error("later");
    });
    const seen: number[] = [];
    const reading = (async () => {
      for await (const item of items) seen.push(item);
    })();
    await expect(reading).rejects.toThrow("later");
    await reading.catch(() => {});
    expect(seen).toEqual([1]);
  });

  test("reported() of work that reports nothing is an empty stream", async () => {
    expect(await Array.fromAsync(await reported(async () => {}))).toEqual([]);
  });
});

describe("parseFilters()", () => {
  const parse = (value: unknown) => parseFilters(JSON.stringify(value), ["label", "name", "dangling"]);

  test.each<[text: string | undefined]>([[undefined], [""], ["{}"]])(
    "parseFilters(%p) lets everything pass",
    (text) => {
      const filters = parseFilters(text, ["name"]);
      expect(filters.any("name", () => false)).toBe(true);
      expect(filters.labels({})).toBe(true);
      expect(filters.boolean("name")).toBeUndefined();
    },
  );

  test("parseFilters() takes lists, and objects of which only the keys count", () => {
    expect(parse({ name: ["a", "b"] }).get("name")).toEqual(["a", "b"]);
    expect(parse({ name: { a: true, b: false } }).get("name")).toEqual(["a", "b"]);
  });

  test.each<[labels: string[], has: Record<string, string>, result: boolean]>([
    [["a"], { a: "1" }, true],
    [["a"], { b: "1" }, false],
    [["a=1"], { a: "1" }, true],
    [["a=1"], { a: "2" }, false],
    [["a=1=2"], { a: "1=2" }, true],
    [["a="], { a: "" }, true],
    [["a", "b=2"], { a: "1", b: "2" }, true],
    [["a", "b=2"], { a: "1", b: "3" }, false],
    [["toString"], {}, false],
  ])("labels(%p) of %p is %p", (labels, has, result) => {
    expect(parse({ label: labels }).labels(has)).toBe(result);
  });

  test("boolean() takes true, false and numbers, and nothing else", () => {
    const dangling = (text: string) => new Filters(new Map([["dangling", [text]]])).boolean("dangling");
    expect(["1", "true", "T", "0", "false", "F"].map(dangling)).toEqual([true, true, true, false, false, false]);
    expect(() => dangling("maybe")).toThrow("invalid filter 'dangling=[maybe]'");
  });
});

describe("registryAuth()", () => {
  const encode = (value: unknown) => Buffer.from(JSON.stringify(value));

  test("registryAuth() reads both alphabets of base64, with and without padding", () => {
    const credentials = { username: "ann", password: "??>>~~" }; // needs the letters in which the alphabets differ
    const bytes = encode(credentials);
    const texts = [bytes.toString("base64"), bytes.toString("base64url"), bytes.toString("base64").replace(/=+$/, "")];
    for (const text of texts) expect(registryAuth(text)).toEqual(credentials);
    expect(texts[0]).not.toBe(texts[1] ?? "");
  });

  test("registryAuth() knows tokens, too", () => {
    expect(registryAuth(encode({ identitytoken: "i", serveraddress: "x" }).toString("base64"))).toEqual({
      identityToken: "i",
    });
    expect(registryAuth(encode({ registrytoken: "r" }).toString("base64"))).toEqual({ registryToken: "r" });
  });

  test.each([
    undefined,
    "",
    "e30=",
    "not base64!",
    Buffer.from("[]").toString("base64"),
    Buffer.from("{").toString("base64"),
    Buffer.from('{"username":1}').toString("base64"),
  ])("registryAuth(%p) is anonymous", (header) => {
    expect(registryAuth(header)).toBeUndefined();
  });
});

describe("parseTime()", () => {
  test.each<[text: string | undefined, ns: bigint | undefined]>([
    [undefined, undefined],
    ["", undefined],
    ["0", 0n],
    ["1700000000", 1_700_000_000_000_000_000n],
    ["1700000000.5", 1_700_000_000_500_000_000n],
    ["1700000000.000000001", 1_700_000_000_000_000_001n],
    ["1700000000.1234567891", 1_700_000_000_123_456_789n],
    ["2023-11-14T22:13:20Z", 1_700_000_000_000_000_000n],
    ["2023-11-14T23:13:20+01:00", 1_700_000_000_000_000_000n],
    ["2023-11-14T22:13:20.000000001Z", 1_700_000_000_000_000_001n],
    ["1969-12-31T23:59:59.5Z", -500_000_000n],
  ])("parseTime(%p) is %p", (text, ns) => {
    expect(parseTime("since", text)).toBe(ns);
  });

  test.each(["yesterday", "1.2.3", "1e9", "--1", "2023-13-01T00:00:00Z", "2023-11-14", "2023-11-14T22:13:20"])(
    "parseTime(%p) throws",
    (text) => {
      expect(() => parseTime("since", text)).toThrow('invalid value for "since"');
    },
  );
});
