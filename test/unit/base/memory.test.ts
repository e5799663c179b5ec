import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { releaseCode } from "../../../src/base/memory.ts";

/** KiB of files that are mapped. Source: proc_pid_status(5). */
const mapped = (): number => Number(/^RssFile:\s+(\d+)/m.exec(readFileSync("/proc/self/status", "utf8"))?.[1]);

test("releaseCode() takes code that is not run out of memory, and what is run comes back", () => {
  const before = mapped();
  releaseCode();
  expect(mapped()).toBeLessThan(before);
  expect([3, 1, 2].toSorted().join()).toBe("1,2,3");
  expect(() => JSON.parse("{")).toThrow(SyntaxError);
});
