/** The kernel's switches, as files that are made up. */

import { describe, expect, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { silent } from "../../../src/base/logger.ts";
import { Forwarding } from "../../../src/network/forwarding.ts";
import { makeFolder } from "../../support/folder.ts";

const setUp = async (before: Readonly<Record<4 | 6, string>>) => {
  const folder = await makeFolder();
  const path = (name: string) => join(folder.path, name);
  const switches = { 4: path("4"), 6: path("6") };
  writeFileSync(switches[4], before[4]);
  writeFileSync(switches[6], before[6]);
  const open = (keepsOpen = false) => new Forwarding({ file: path("forwarding"), keepsOpen, log: silent, switches });
  const values = () => [readFileSync(switches[4], "utf8").trim(), readFileSync(switches[6], "utf8").trim()];
  return { open, values, file: path("forwarding"), [Symbol.asyncDispose]: () => folder[Symbol.asyncDispose]() };
};

const OFF = { 4: "0\n", 6: "0\n" };

describe("Forwarding", () => {
  test("closes what it switches on, and so does the daemon after it", async () => {
    await using host = await setUp(OFF);
    const forwarding = host.open();
    expect(forwarding.closed).toEqual([]);
    forwarding.claim(4);
    expect([forwarding.closed, host.values()]).toEqual([[4], ["0", "0"]]); // rules come before the switch
    forwarding.switchOn(4);
    expect(host.values()).toEqual(["1", "0"]);
    const next = host.open();
    expect(next.closed).toEqual([4]);
    next.claim(6);
    next.claim(4);
    expect([next.closed, host.open().closed]).toEqual([
      [4, 6],
      [4, 6],
    ]);
  });

  test("leaves open what somebody else has switched on", async () => {
    await using host = await setUp({ 4: "1\n", 6: "2\n" });
    const forwarding = host.open();
    for (const family of [4, 6] as const) {
      forwarding.claim(family);
      forwarding.switchOn(family);
    }
    expect([forwarding.closed, host.values()]).toEqual([[], ["1", "2"]]);
  });

  test("is kept open when it is told so, until it is not any more", async () => {
    await using host = await setUp(OFF);
    const forwarding = host.open(true);
    forwarding.claim(4);
    expect([forwarding.closed, host.open().closed]).toEqual([[], [4]]);
  });

  test("knows nothing of what was before the host was booted", async () => {
    await using host = await setUp(OFF);
    writeFileSync(host.file, "00000000-0000-0000-0000-000000000000 4 6\n");
    expect(host.open().closed).toEqual([]);
  });
});
