import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { IdleMemory, releaseCode } from "../../../src/base/memory.ts";

/** KiB of files that are mapped. Source: proc_pid_status(5). */
const mapped = (): number => Number(/^RssFile:\s+(\d+)/m.exec(readFileSync("/proc/self/status", "utf8"))?.[1]);

test("releaseCode() takes code that is not run out of memory, and what is run comes back", () => {
  const before = mapped();
  releaseCode();
  expect(mapped()).toBeLessThan(before);
  expect([3, 1, 2].toSorted().join()).toBe("1,2,3");
  expect(() => JSON.parse("{")).toThrow(SyntaxError);
});

/** A heap of so many MiB, and what is done about it. */
function filledOf(mib: number) {
  const { promise: emptied, resolve } = Promise.withResolvers<void>();
  const filled = {
    mib,
    emptied,
    done: [] as string[],
    heapSize: () => filled.mib << 20,
    collect(): number {
      filled.done.push("collect");
      filled.mib = mib;
      return filled.heapSize();
    },
    releaseCode() {
      filled.done.push("release");
      resolve();
      throw new Error("memory is locked");
    },
  };
  return filled;
}

test.each([
  [13, ["release"]],
  [14, ["collect", "release"]],
])("an IdleMemory of %d MiB, of which work has found 10, is emptied when it is quiet: %j", async (mib, done) => {
  const filled = filledOf(10);
  using memory = new IdleMemory(filled, { garbageMs: 1, codeMs: 2 });
  filled.mib = mib;
  for (let count = 0; count < 3; count++) memory.note();
  await filled.emptied;
  expect(filled.done).toEqual(done);
});

test("an IdleMemory is emptied again after more work", async () => {
  const filled = filledOf(10);
  using memory = new IdleMemory(filled, { garbageMs: 2, codeMs: 1 });
  await filled.emptied;
  const again = Promise.withResolvers<void>();
  filled.collect = () => {
    again.resolve();
    return filled.heapSize();
  };
  filled.mib = 20;
  memory.note();
  await again.promise;
});
