import { expect, test } from "bun:test";
import { closeSync, openSync, readFileSync } from "node:fs";
import { writeBlocking, writeInOrder } from "../../../src/base/writing.ts";
import { makeFolder } from "../../support/folder.ts";

const bytesOf = (size: number): Uint8Array => Uint8Array.from({ length: size }, (_, at) => at % 251);

async function opened(path: string, act: (fd: number) => void | Promise<void>): Promise<void> {
  const fd = openSync(path, "w");
  try {
    await act(fd);
  } finally {
    closeSync(fd);
  }
}

const WRITERS = [
  ["writeBlocking()", writeBlocking],
  ["writeInOrder()", writeInOrder],
] as const;

for (const [name, write] of WRITERS) {
  test.each([0, 1, 65_535, 65_536, 65_537, 300_000])(`${name} writes %d bytes, and more behind them`, async (size) => {
    await using folder = await makeFolder();
    const [first, second] = [bytesOf(size), bytesOf(1000)];
    await opened(`${folder.path}/file`, async (fd) => {
      await write(fd, first);
      await write(fd, second);
    });
    expect(readFileSync(`${folder.path}/file`).equals(Buffer.concat([first, second]))).toBe(true);
  });

  test(`${name} tells of a full disk`, async () => {
    const full = opened("/dev/full", (fd) => write(fd, bytesOf(200_000)));
    await expect(full).rejects.toMatchObject({ code: "ENOSPC" });
  });
}

test("writeInOrder() writes at a position", async () => {
  await using folder = await makeFolder();
  const all = bytesOf(200_000);
  await opened(`${folder.path}/file`, async (fd) => {
    await writeInOrder(fd, all.subarray(100_000), 100_000);
    await writeInOrder(fd, all.subarray(0, 100_000), 0);
  });
  expect(readFileSync(`${folder.path}/file`).equals(all)).toBe(true);
});
