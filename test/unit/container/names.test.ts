import { expect, test } from "bun:test";
import { randomName } from "../../../src/container/names.ts";
import { checkName } from "../../../src/container/records.ts";

test("randomName() gives names that are valid and seldom the same", () => {
  const names = Array.from({ length: 200 }, () => randomName(() => false));
  for (const name of names) expect(checkName(name)).toBe(name);
  expect(new Set(names).size).toBeGreaterThan(150);
});

test("randomName() goes on until a name is free, with digits when many are taken", () => {
  const asked: string[] = [];
  const name = randomName((candidate) => asked.push(candidate) <= 8);
  expect(asked.length).toBe(9);
  expect(asked.at(-1)).toBe(name);
  expect(name).toMatch(/^[a-z]+_[a-z]+\d+$/);
  expect(asked[0]).toMatch(/^[a-z]+_[a-z]+$/);
});

test.each(["ab", "a.b-c_d", "/ab", "A1", "1a"])("checkName() takes %p", (name) => {
  expect(checkName(name)).toBe(name.replace(/^\//, ""));
});

test.each(["", "a", "/", "-ab", ".ab", "_ab", "a b", "a/b", "//ab", "äb", "ab\n"])("checkName() refuses %p", (name) => {
  expect(() => checkName(name)).toThrow("Invalid container name");
});
