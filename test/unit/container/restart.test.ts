import { describe, expect, test } from "bun:test";
import type { ContainerConfig, HostConfig } from "../../../src/container/config.ts";
import {
  comesUp,
  nextDelay,
  type RestartPolicyName,
  Restarts,
  startsAgain,
  toRestartPolicy,
} from "../../../src/container/restart.ts";

describe("toRestartPolicy()", () => {
  test.each<[name: string, count: number]>([
    ["", 0],
    ["", 5], // old clients send one
    ["no", 0],
    ["always", 0],
    ["unless-stopped", 0],
    ["on-failure", 0],
    ["on-failure", 3],
    ["on-unhealthy", 3],
  ])("toRestartPolicy(%p, %p) is a policy", (name, count) => {
    expect(toRestartPolicy(name, count)).toEqual({
      name: (name || "no") as RestartPolicyName,
      maximumRetryCount: name === "" ? 0 : count,
    });
  });

  test.each<[name: string, count: number, words: string]>([
    ["sometimes", 0, "unknown policy 'sometimes'; use one of 'no', 'always', 'on-failure', or 'unless-stopped'"],
    ["always", 1, "maximum retry count can only be used with 'on-failure'"],
    ["no", -1, "maximum retry count can only be used with 'on-failure' and cannot be negative"],
    ["on-failure", -2, "maximum retry count cannot be negative"],
  ])("toRestartPolicy(%p, %p) throws %p", (name, count, words) => {
    expect(() => toRestartPolicy(name, count)).toThrow(`invalid restart policy: ${words}`);
  });
});

const candidate = (text: string, restartCount: number, stopped: boolean) => {
  const [name = "", count = "0"] = text.split(":");
  // the rest of the configuration decides nothing
  const host = { restart: toRestartPolicy(name, Number(count)) } as HostConfig;
  const config = { labels: {} as Readonly<Record<string, string>> } as ContainerConfig;
  return { host, config, restartCount, ...(stopped && { stopped: true as const }) };
};

test.each<[policy: string, code: number, count: number, stopped: boolean, again: boolean]>([
  ["no", 1, 0, false, false],
  ["always", 0, 99, false, true],
  ["always", 1, 0, true, false],
  ["unless-stopped", 0, 0, false, true],
  ["unless-stopped", 137, 0, true, false],
  ["on-failure", 0, 0, false, false],
  ["on-failure", 1, 99, false, true],
  ["on-failure:2", 1, 1, false, true],
  ["on-failure:2", 1, 2, false, false],
  ["on-failure", 1, 0, true, false],
  ["on-unhealthy:1", 137, 0, false, true],
  ["on-unhealthy", 0, 0, false, false],
])(
  "startsAgain() of %s after code %d and %d starts, stopped by hand: %p, is %p",
  (policy, code, count, stopped, again) => {
    expect(startsAgain(candidate(policy, count, stopped), code)).toBe(again);
  },
);

test.each<[policy: string, stopped: boolean, up: boolean]>([
  ["no", false, false],
  ["always", true, true],
  ["unless-stopped", false, true],
  ["unless-stopped", true, false],
  ["on-failure", false, false],
])("comesUp() of %s, stopped by hand: %p, is %p", (policy, stopped, up) => {
  expect(comesUp(candidate(policy, 0, stopped))).toBe(up);
});

test("nextDelay() doubles from 100 ms to a minute, and begins anew after 10 s of running", () => {
  const delays: number[] = [];
  for (let delay = 0; delays.length < 12; delays.push(delay)) delay = nextDelay(delay, 5);
  expect(delays).toEqual([100, 200, 400, 800, 1600, 3200, 6400, 12_800, 25_600, 51_200, 60_000, 60_000]);
  expect(nextDelay(60_000, 9_999)).toBe(60_000);
  expect(nextDelay(60_000, 10_000)).toBe(100);
});

test("Restarts that are held begin when they are released", async () => {
  let isReleased = false;
  const started = Promise.withResolvers<[id: string, isReleased: boolean]>();
  using held = new Restarts(async (id) => started.resolve([id, isReleased]), 1);
  held.hold();
  for (const id of ["gone", "one"]) held.schedule(id, 0);
  held.forget("gone");
  const other = Promise.withResolvers<void>();
  using free = new Restarts(async () => other.resolve(), 2);
  free.schedule("other", 0);
  await other.promise;
  isReleased = true;
  held.release();
  expect(await started.promise).toEqual(["one", true]);
});

test("Restarts start in their order, but none that was forgotten", async () => {
  const started: string[] = [];
  const last = Promise.withResolvers<void>();
  using restarts = new Restarts(async (id) => {
    started.push(id);
    if (id === "last") last.resolve();
  }, 1);
  for (const id of ["one", "two", "last"]) restarts.schedule(id, 0);
  restarts.forget("two");
  await last.promise;
  expect(started).toEqual(["one", "last"]);
});
