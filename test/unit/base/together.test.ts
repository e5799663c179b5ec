import { expect, test } from "bun:test";
import { together } from "../../../src/base/together.ts";

test("together() gives what each gives", async () => {
  expect(await together(Promise.resolve(1), "two", Promise.resolve([3]))).toEqual([1, "two", [3]]);
});

test("together() throws the first failure, but only when nothing runs any more", async () => {
  const slow = Promise.withResolvers<void>();
  const seen: string[] = [];
  const failing = together(
    slow.promise.then(() => seen.push("slow is done")),
    Promise.reject(new Error("one")),
    Promise.reject(new Error("two")),
  ).catch((error) => seen.push(error.message));
  await Bun.sleep(0);
  expect(seen).toEqual([]);
  slow.resolve();
  await failing;
  expect(seen).toEqual(["slow is done", "one"]);
});

test("together() leaves no rejection that nobody handles", async () => {
  const script = `import { together } from ${JSON.stringify(Bun.resolveSync("../../../src/base/together.ts", import.meta.dir))};
    const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
    await together(sleep(5), Promise.reject(new Error("failed"))).catch(() => {});`;
  const child = Bun.spawn([process.execPath, "-e", script], { stderr: "pipe", stdout: "ignore" });
  expect(await child.stderr.text()).toBe("");
  expect(await child.exited).toBe(0);
});
