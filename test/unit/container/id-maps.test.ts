import { expect, test } from "bun:test";
import { parseIdMaps } from "../../../src/container/id-maps.ts";
import { bind } from "../../../src/runtime/ops.ts";

const range = (inside: number, outside: number, length: number) => ({ inside, outside, length });

test.each([
  ["uids=0-1000-10;gids=5-50-1", [range(0, 1000, 10)], [range(5, 50, 1)]],
  ["uids=0-1000-10#20-2000-5", [range(0, 1000, 10), range(20, 2000, 5)], [range(0, 1000, 10), range(20, 2000, 5)]],
  ["uids=0-1000-10#gids=@1-2-3", [range(0, 1000, 10)], [range(1, 2, 3)]],
])("parseIdMaps(%p)", (text, uids, gids) => {
  expect(parseIdMaps(text)).toEqual({ uids, gids });
});

test.each([
  "",
  "uids=",
  "uids=0-1",
  "uids=0-1-0",
  "pids=0-1-1",
  "uids=0-1-1;uids=0-1-1",
  "uids=0-4294967295-1",
  "uids=0-1-1;x",
])("parseIdMaps(%p) throws", (text) => {
  expect(() => parseIdMaps(text)).toThrow("idmap");
});

test("bind() writes the maps as user_namespaces(7) has them", () => {
  const idMaps = parseIdMaps("uids=0-1000-10#20-2000-5;gids=0-7-1");
  expect(bind("/a", "/b", { idMaps }).slice(6)).toEqual(["", "0 1000 10\n20 2000 5\n", "0 7 1\n"]);
});
