import { expect, test } from "bun:test";
import { closeSync, openSync, readFileSync } from "node:fs";
import { pour } from "../../../src/base/writing.ts";
import { makeFolder } from "../../support/folder.ts";

const pieceOf = (index: number): Uint8Array => new Uint8Array(index * 37_501).fill(index);

async function* pieces(count: number, failure?: Error): AsyncGenerator<Uint8Array> {
  for (let index = 0; index < count; index++) yield pieceOf(index);
  if (failure) throw failure;
}

async function poured(path: string, body: AsyncIterable<Uint8Array>): Promise<void> {
  const fd = openSync(path, "w");
  try {
    await pour(fd, body);
  } finally {
    closeSync(fd);
  }
}

test.each([0, 1, 2, 20, 60])("%d pieces are written one behind the other", async (count) => {
  await using folder = await makeFolder();
  await poured(`${folder.path}/file`, pieces(count));
  const wanted = Buffer.concat(Array.from({ length: count }, (_, index) => pieceOf(index)));
  expect(readFileSync(`${folder.path}/file`).equals(wanted)).toBe(true);
});

test("a stream that fails fails the writing", async () => {
  await using folder = await makeFolder();
  await expect(poured(`${folder.path}/file`, pieces(40, new Error("cut off")))).rejects.toThrow("cut off");
});

test("a full disk is told, early and at the end", async () => {
  await expect(poured("/dev/full", pieces(60))).rejects.toMatchObject({ code: "ENOSPC" });
  await expect(poured("/dev/full", pieces(3))).rejects.toMatchObject({ code: "ENOSPC" });
});
