/** What is told of failures, ours and node's. */

import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { conflict, hasCode, ifMissing, kindOf, messageOf } from "../../../src/base/errors.ts";
import { errnoName, SystemError } from "../../../src/base/system-error.ts";

function thrownBy(action: () => unknown): unknown {
  try {
    action();
  } catch (error) {
    return error;
  }
  throw new Error("it did not throw");
}

test.each([
  [1, "EPERM"],
  [2, "ENOENT"],
  [11, "EAGAIN"],
  [40, "ELOOP"],
  [61, "ENODATA"],
  [117, "EUCLEAN"],
  [999, "E999"],
])("errnoName() of %d is %s", (errno, name) => {
  expect(errnoName(errno)).toBe(name);
});

test("SystemError says what was tried, and its code", () => {
  const error = new SystemError("unmount /x", 16);
  expect([error.message, error.code, error.errno]).toEqual(["Cannot unmount /x: EBUSY", "EBUSY", 16]);
});

test("hasCode() tells the system's errors, ours and node's, from all others", () => {
  const missing = thrownBy(() => readFileSync("/nosuch"));
  expect(hasCode(missing, "ENOENT")).toBe(true);
  expect(hasCode(new SystemError("read", 2), "EBUSY", "ENOENT")).toBe(true);
  expect(hasCode(missing, "EBUSY")).toBe(false);
  expect(hasCode(new Error("ENOENT"), "ENOENT")).toBe(false);
  expect(hasCode({ code: "ENOENT" }, "ENOENT")).toBe(false);
});

test("ifMissing() answers for what is missing, and throws the rest again", () => {
  const answer = ifMissing("none", "ENOTDIR");
  expect(answer(new SystemError("read", 2))).toBe("none");
  expect(answer(new SystemError("read", 20))).toBe("none");
  const busy = new SystemError("read", 16);
  expect(thrownBy(() => answer(busy))).toBe(busy);
});

test("kindOf() and messageOf() speak of anything thrown", () => {
  expect([kindOf(conflict("taken")), messageOf(conflict("taken"))]).toEqual(["conflict", "taken"]);
  expect([kindOf("text"), messageOf("text")]).toEqual(["internal", "text"]);
});
