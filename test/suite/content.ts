/** What every ContentStore does. Run by content-*.test.ts, one for each implementation. */

import { describe, expect, test } from "bun:test";
import { exists, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type Digest, digestOf } from "../../src/base/digest.ts";
import { kindOf } from "../../src/base/errors.ts";
import { bytesOf } from "../../src/base/streams.ts";
import type { ContentStore, Source } from "../../src/store/content.ts";
import { makeFolder } from "../support/folder.ts";

/** Bytes that no compressor and no accident repeats: a xorshift of the seed. */
export function randomBytes(size: number, seed = 1): Uint8Array {
  const bytes = new Uint8Array(size);
  let state = seed >>> 0 || 1;
  for (let i = 0; i < size; i++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    bytes[i] = state;
  }
  return bytes;
}

const DATA = randomBytes(300_000);
const BLOB = { digest: digestOf(DATA), size: DATA.length };

/** A source that can resume, in chunks of 10,000 bytes. */
function resuming(data: Uint8Array, seen: number[] = []): Source {
  return async (offset) => {
    seen.push(offset);
    const chunks: Uint8Array[] = [];
    for (let at = offset; at < data.length; at += 10_000) chunks.push(data.subarray(at, at + 10_000));
    return { start: offset, body: bytesOf(...chunks) };
  };
}

/** A source whose connection breaks after `size` bytes from its start. */
function breaking(data: Uint8Array, size: number): Source {
  return async (offset) => ({
    start: offset,
    body: new ReadableStream<Uint8Array>({
      pull(out) {
        if (out.desiredSize === null) return;
        out.enqueue(data.subarray(offset, offset + size));
        queueMicrotask(() => out.error(new Error("connection reset")));
      },
    }),
  });
}

const kind = (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    () => "none",
    (error: unknown) => kindOf(error),
  );

/** @param open  makes a store in a folder; opening it again sees what is there */
export function contentSuite(name: string, open: (root: string) => ContentStore): void {
  const withStore = (body: (store: ContentStore, root: string) => Promise<void>) => async () => {
    await using folder = await makeFolder();
    await body(open(folder.path), folder.path);
  };

  describe(name, () => {
    test(
      "put() makes exactly the bytes present when they are right",
      withStore(async (store, root) => {
        expect(await store.find(BLOB.digest)).toBeUndefined();
        const blob = await store.put(BLOB, resuming(DATA));
        expect(blob.size).toBe(DATA.length);
        expect(Buffer.compare(await readFile(blob.path), DATA)).toBe(0);
        expect(await open(root).get(BLOB.digest)).toEqual(blob);
      }),
    );

    test(
      "adopt() makes a blob of a file, in place of what was there",
      withStore(async (store, root) => {
        const path = join(root, "file");
        for (let round = 0; round < 2; round++) {
          await writeFile(path, DATA);
          const blob = await store.adopt(BLOB, path);
          expect(Buffer.compare(await readFile(blob.path), DATA)).toBe(0);
          expect(await store.find(BLOB.digest)).toEqual(blob);
          expect(await exists(path)).toBeFalse();
        }
        await writeFile(path, "short");
        expect(await kind(store.adopt(BLOB, path))).toBe("corrupt");
        const nothing = async () => Promise.reject(new Error("nobody asks"));
        expect((await store.put(BLOB, nothing)).size).toBe(BLOB.size);
      }),
    );

    test(
      "put() does not ask the source when the blob is there",
      withStore(async (store) => {
        await store.put(BLOB, resuming(DATA));
        const asked: number[] = [];
        await store.put(BLOB, resuming(DATA, asked));
        expect(asked).toEqual([]);
      }),
    );

    test(
      "put() stores an empty blob",
      withStore(async (store) => {
        const empty = new Uint8Array(0);
        const blob = await store.put({ digest: digestOf(empty), size: 0 }, resuming(empty));
        expect((await readFile(blob.path)).length).toBe(0);
      }),
    );

    test.each([1000, 65_536, 1 << 20, (1 << 20) + 1, 2_500_000])(
      "put() stores a large blob as it is when it comes in pieces of %d bytes",
      (piece) =>
        withStore(async (store) => {
          const data = randomBytes(3_200_001, 7);
          const pieces = Array.from({ length: Math.ceil(data.length / piece) }, (_, at) =>
            data.subarray(at * piece, (at + 1) * piece),
          );
          const wanted = { digest: digestOf(data), size: data.length };
          const blob = await store.put(wanted, async () => ({ start: 0, body: bytesOf(...pieces) }));
          expect(Buffer.compare(data, await readFile(blob.path))).toBe(0);
        })(),
    );

    test(
      "put() goes on behind a large part that a broken transfer left",
      withStore(async (store) => {
        const data = randomBytes(3_000_000, 9);
        const wanted = { digest: digestOf(data), size: data.length };
        await expect(store.put(wanted, breaking(data, 2_345_678))).rejects.toThrow("connection reset");
        const asked: number[] = [];
        const blob = await store.put(wanted, resuming(data, asked));
        expect(asked).toEqual([2_345_678]);
        expect(Buffer.compare(data, await readFile(blob.path))).toBe(0);
      }),
    );

    test(
      "put() shares one transfer between callers who want it durable and not",
      withStore(async (store) => {
        const asked: number[] = [];
        const [a, b] = await Promise.all([
          store.put(BLOB, resuming(DATA, asked), { durable: false }),
          store.put(BLOB, resuming(DATA, asked)),
        ]);
        expect(a).toEqual(b);
        expect(await store.put(BLOB, resuming(DATA, asked))).toEqual(a);
        expect(asked).toEqual([0]);
        expect(await readFile(a.path)).toEqual(Buffer.from(DATA));
      }),
    );

    test(
      "put() shares one transfer between two callers",
      withStore(async (store) => {
        const asked: number[] = [];
        const [a, b] = await Promise.all([
          store.put(BLOB, resuming(DATA, asked)),
          store.put(BLOB, resuming(DATA, asked)),
        ]);
        expect(a).toEqual(b);
        expect(asked).toEqual([0]);
      }),
    );

    test(
      "put() goes on where a broken transfer ended, also in a new process",
      withStore(async (store, root) => {
        await expect(store.put(BLOB, breaking(DATA, 120_000))).rejects.toThrow("connection reset");
        expect(await store.find(BLOB.digest)).toBeUndefined();
        const asked: number[] = [];
        await open(root).put(BLOB, resuming(DATA, asked));
        expect(asked).toEqual([120_000]);
        expect(Buffer.compare(await readFile((await store.get(BLOB.digest)).path), DATA)).toBe(0);
      }),
    );

    test(
      "put() begins anew when the source cannot resume",
      withStore(async (store) => {
        await expect(store.put(BLOB, breaking(DATA, 120_000))).rejects.toThrow("connection reset");
        await store.put(BLOB, async () => ({ start: 0, body: bytesOf(DATA) }));
        expect(Buffer.compare(await readFile((await store.get(BLOB.digest)).path), DATA)).toBe(0);
      }),
    );

    test(
      "put() begins anew when what was left is wrong",
      withStore(async (store) => {
        const other = randomBytes(DATA.length, 7);
        await expect(store.put(BLOB, breaking(other, 120_000))).rejects.toThrow("connection reset");
        const asked: number[] = [];
        await store.put(BLOB, resuming(DATA, asked));
        expect(asked).toEqual([120_000, 0]);
        expect(Buffer.compare(await readFile((await store.get(BLOB.digest)).path), DATA)).toBe(0);
      }),
    );

    const wrong: readonly (readonly [what: string, data: Uint8Array])[] = [
      ["other bytes", randomBytes(DATA.length, 2)],
      ["too few bytes", DATA.subarray(0, 200_000)],
      ["too many bytes", Buffer.concat([DATA, DATA])],
    ];
    for (const [what, data] of wrong)
      test(
        `put() refuses and keeps nothing when it gets ${what}`,
        withStore(async (store) => {
          expect(await kind(store.put(BLOB, resuming(data)))).toBe("corrupt");
          expect(await store.find(BLOB.digest)).toBeUndefined();
          const asked: number[] = [];
          await store.put(BLOB, resuming(DATA, asked));
          expect(asked).toEqual([0]);
        }),
      );

    test(
      "put() stops when its signal does, and a later one goes on",
      withStore(async (store) => {
        const stop = new AbortController();
        const endless: Source = async (offset) => ({
          start: offset,
          body: new ReadableStream<Uint8Array>({
            start(out) {
              out.enqueue(DATA.subarray(0, 50_000));
            },
            pull: () => new Promise(() => undefined),
          }),
        });
        const putting = store.put(BLOB, endless, { signal: stop.signal });
        stop.abort(new Error("enough"));
        await expect(putting).rejects.toThrow("enough");
        await store.put(BLOB, resuming(DATA));
        expect(await store.find(BLOB.digest)).toBeDefined();
      }),
    );

    test(
      "put() goes on for the other caller when one of two gives up",
      withStore(async (store) => {
        const gate = Promise.withResolvers<void>();
        const gated: Source = async (offset) => {
          await gate.promise;
          return resuming(DATA)(offset);
        };
        const stop = new AbortController();
        const first = store.put(BLOB, gated, { signal: stop.signal });
        const second = store.put(BLOB, gated);
        stop.abort(new Error("enough"));
        await expect(first).rejects.toThrow("enough");
        gate.resolve();
        expect((await second).size).toBe(DATA.length);
      }),
    );

    test(
      "put() tells its progress up to the whole size",
      withStore(async (store) => {
        const told: number[] = [];
        await store.put(BLOB, resuming(DATA), { onProgress: (bytes) => told.push(bytes) });
        expect(told.at(-1)).toBe(DATA.length);
        expect(told).toEqual(told.toSorted((a, b) => a - b));
      }),
    );

    test(
      "get() throws notFound when there is no blob",
      withStore(async (store) => {
        expect(await kind(store.get(BLOB.digest))).toBe("notFound");
      }),
    );

    test(
      "remove() takes a broken transfer away, so that the next one begins anew",
      withStore(async (store) => {
        await store.put(BLOB, breaking(DATA, 100_000)).catch(() => {});
        await store.remove(BLOB.digest);
        const seen: number[] = [];
        await store.put(BLOB, resuming(DATA, seen));
        expect(seen).toEqual([0]);
      }),
    );

    test(
      "remove() takes the blob away, and is silent when it is gone",
      withStore(async (store) => {
        await store.put(BLOB, resuming(DATA));
        await store.remove(BLOB.digest);
        await store.remove(BLOB.digest);
        expect(await store.find(BLOB.digest)).toBeUndefined();
      }),
    );

    test(
      "list() gives complete blobs only",
      withStore(async (store) => {
        await store.put(BLOB, resuming(DATA));
        const half = randomBytes(1000, 3);
        await store.put({ digest: digestOf(half), size: 1000 }, breaking(half, 400)).catch(() => undefined);
        const found: { digest: Digest; size: number }[] = [];
        for await (const each of store.list()) found.push(each);
        expect(found).toEqual([BLOB]);
      }),
    );

    test(
      "sweep() forgets broken transfers and keeps blobs",
      withStore(async (store, root) => {
        const half = randomBytes(1000, 3);
        const wanted = { digest: digestOf(half), size: 1000 };
        await store.put(BLOB, resuming(DATA));
        await store.put(wanted, breaking(half, 400)).catch(() => undefined);
        await open(root).sweep();
        const asked: number[] = [];
        await store.put(wanted, resuming(half, asked));
        expect(asked).toEqual([0]);
        expect(await store.find(BLOB.digest)).toBeDefined();
      }),
    );
  });
}
