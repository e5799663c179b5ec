/** The database on a disk that is full: what goes can still be written. */

import { expect, test } from "bun:test";
import { join } from "node:path";
import { Database } from "../../src/store/database.ts";
import { failureOf } from "../support/errors.ts";
import { makeSmallDisk } from "../support/small-disk.ts";

const MIGRATIONS = [{ name: "one", sql: "CREATE TABLE things (id INTEGER PRIMARY KEY, text TEXT NOT NULL) STRICT" }];
const TEXT = "x".repeat(3000);

const ids = (database: Database): number[] =>
  database.all<{ id: number }>("SELECT id FROM things ORDER BY id").map(({ id }) => id);

test("run() and transaction() write that something goes also on a full disk, and lose nothing that was written", async () => {
  await using disk = await makeSmallDisk(16 << 20);
  const path = join(disk.path, "test.db");
  const database = new Database(path, MIGRATIONS);
  for (let id = 0; id < 100; id++) database.run("INSERT INTO things VALUES (?, ?)", id, TEXT);
  disk.fill();
  for (let id = 0; id < 50; id++) database.run("DELETE FROM things WHERE id = ?", id);
  database.transaction(() => {
    for (let id = 50; id < 90; id++) database.run("DELETE FROM things WHERE id = ?", id);
  });
  expect(ids(database)).toEqual([90, 91, 92, 93, 94, 95, 96, 97, 98, 99]);
  expect(ids(new Database(path, MIGRATIONS))).toEqual([90, 91, 92, 93, 94, 95, 96, 97, 98, 99]);
  database.close();
});

test("run() is unavailable when nothing is left, and works again when there is space", async () => {
  await using disk = await makeSmallDisk(16 << 20);
  const path = join(disk.path, "test.db");
  const database = new Database(path, MIGRATIONS);
  disk.fill();
  let written = 0;
  const failure = await failureOf(async () => {
    for (; written < 100_000; written++) {
      database.run("INSERT INTO things VALUES (?, ?)", written, TEXT);
      disk.fill();
    }
  });
  expect(failure).toBe(`unavailable: Cannot write ${path}: no space left on device`);
  expect(ids(database).length).toBe(written);
  disk.clear();
  database.run("INSERT INTO things VALUES (?, ?)", written, TEXT);
  expect(ids(database).length).toBe(written + 1);
  database.close();
});
