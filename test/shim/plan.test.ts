/** The plan's wire format, as bytes. */

import { expect, test } from "bun:test";
import * as op from "../../src/runtime/ops.ts";
import { encodePlan } from "../../src/runtime/protocol.ts";
import { makeBox } from "../support/box.ts";
import { startShim } from "../support/shim.ts";

test.each([
  ["an unknown operation", "frob\x000\0\0", "fail 0 38 unknown operation\n"],
  ["too few arguments", "session\x000\0hostname\x000\0\0", "fail 0 22 session on the wrong side of clone\n"],
  ["a wrong number of arguments", "umount\x002\0/a\0/b\0\0", "fail 0 22 umount with 2 arguments\n"],
  [
    "a parent's operation in the child",
    "clone\x001\x000\0layer\x003\0a\0b\0c\0\0",
    "fail 1 22 layer on the wrong side of clone\n",
  ],
  ["a count that is no number", "umount\0x\0/a\0\0", "fail 0 22 the plan cannot be read\n"],
  ["a negative count", "umount\0-1\0\0", "fail 0 22 the plan cannot be read\n"],
  ["a second clone", "clone\x001\x000\0clone\x001\x000\0\0", "fail 1 22 clone on the wrong side of clone\n"],
  ["no clone", "umount\x001\0/nonexistent\0\0", "fail 0 22 the plan has no clone\n"],
])("run refuses a plan with %s", async (_, bytes, report) => {
  await using box = await makeBox();
  const shim = await startShim(box, "run", bytes);
  expect(await shim.rest()).toBe(report);
  expect(await shim.exited).toBe(1);
});

test.each(["", "host", "hostname\0", "hostname\x001\0", "hostname\x001\0name\0"])(
  "run refuses a plan that ends at %j",
  async (bytes) => {
    await using box = await makeBox();
    const shim = await startShim(box, "run", bytes);
    const report = shim.line();
    shim.closeInput();
    expect(await report).toBe("fail 0 32 the plan cannot be read");
    expect(await shim.exited).toBe(1);
  },
);

test("run reads a plan that arrives byte by byte, and go right behind it", async () => {
  await using box = await makeBox();
  const bytes = Buffer.concat([encodePlan(box.plan(["busybox", "true"])), Buffer.from("go\0")]);
  const shim = await startShim(box, "run", bytes.subarray(0, 1));
  for (const byte of bytes.subarray(1)) {
    shim.write(Uint8Array.of(byte));
    await new Promise((resolve) => setImmediate(resolve));
  }
  expect(await shim.line()).toMatch(/^ready \d+$/);
  expect(await shim.line()).toBe("started");
  expect(await shim.exited).toBe(0);
});

test("run takes go in the same write as the plan", async () => {
  await using box = await makeBox();
  const plan = encodePlan(box.plan(["busybox", "true"]));
  const shim = await startShim(box, "run", Buffer.concat([plan, Buffer.from("go\0")]));
  expect(await shim.rest()).toMatch(/^ready \d+\nstarted\n$/);
});

test("run takes a plan of many and long words", async () => {
  await using box = await makeBox();
  const env = ["PATH=/bin", ...Array.from({ length: 2000 }, (_, index) => `V${index}=${"x".repeat(500)}`)];
  const { stdout } = await box.run("busybox env | busybox grep -c x", { env });
  expect(stdout).toBe("2000\n");
});

test("plan refuses clone, and says done otherwise", async () => {
  await using box = await makeBox();
  const cloning = await startShim(box, "plan", encodePlan([op.clone(0)]));
  expect(await cloning.rest()).toBe("fail 0 22 \n");
  const shim = await startShim(box, "plan", encodePlan([op.umount("/nonexistent")]));
  expect(await shim.rest()).toBe("done\n");
  expect(await shim.exited).toBe(0);
});

test("the shim says how it is used when it is called wrongly", async () => {
  await using box = await makeBox();
  void box;
  const child = Bun.spawn([new URL("../../build/bosun-shim", import.meta.url).pathname, "frob"], { stderr: "pipe" });
  expect(await child.stderr.text()).toStartWith("usage: bosun-shim run");
  expect(await child.exited).toBe(2);
});
