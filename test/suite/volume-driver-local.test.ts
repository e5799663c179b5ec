import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, linkSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { kindOf } from "../../src/base/errors.ts";
import { mountsBelow } from "../../src/base/mountinfo.ts";
import { LocalDriver } from "../../src/volume/driver-local.ts";
import { type Folder, makeFolder } from "../support/folder.ts";
import { volumeDriverSuite } from "./volume-driver.ts";

let folder: Folder;
beforeAll(async () => {
  folder = await makeFolder();
});
afterAll(() => folder[Symbol.asyncDispose]());

volumeDriverSuite(
  "LocalDriver",
  (place) => new LocalDriver(place),
  () => folder.path,
);

test("usage() counts bytes of files, each once", async () => {
  const driver = new LocalDriver(join(folder.path, "counted"));
  await driver.create("box", {});
  const path = driver.path("box");
  mkdirSync(join(path, "deep"));
  writeFileSync(join(path, "deep", "a"), "12345");
  linkSync(join(path, "deep", "a"), join(path, "b"));
  expect(await driver.usage("box", {})).toEqual({ bytes: 5 });
});

test("check() refuses options that it does not know", () => {
  const driver = new LocalDriver(join(folder.path, "checked"));
  expect(kindOf(failureOf(() => driver.check({ nonsense: "x" })))).toBe("invalid");
});

const failureOf = (work: () => void): unknown => {
  try {
    work();
  } catch (error) {
    return error;
  }
  return undefined;
};

describe.skipIf(process.getuid?.() !== 0)("LocalDriver with a mount", () => {
  let count = 0;
  const fresh = () => new LocalDriver(join(folder.path, `mounts-${count++}`));
  const TMPFS = { type: "tmpfs", device: "tmpfs", o: "size=64k,mode=700,noexec" };

  test("mount() of a tmpfs has its options, once, and goes with unmount()", async () => {
    const driver = fresh();
    await driver.create("box", {});
    await driver.mount("box", TMPFS);
    await driver.mount("box", TMPFS);
    const lines = readFileSync("/proc/self/mountinfo", "utf8").split("\n");
    const mine = lines.filter((line) => line.includes(` ${driver.path("box")} `));
    expect(mine.length).toBe(1);
    expect(mine[0]).toMatch(/noexec.* - tmpfs tmpfs .*size=64k,mode=700/);
    await driver.unmount("box");
    expect(await mountsBelow(driver.root)).toEqual([]);
  });

  test("remove() never touches what is mounted in a volume", async () => {
    const driver = fresh();
    const precious = join(folder.path, "precious");
    mkdirSync(precious);
    writeFileSync(join(precious, "a"), "kept");
    await driver.create("box", {});
    await driver.mount("box", { type: "none", device: precious, o: "bind" });
    expect(readFileSync(join(driver.path("box"), "a"), "utf8")).toBe("kept");
    expect(await driver.remove("box").then(() => "removed", kindOf)).toBe("conflict");
    await driver.unmount("box");
    await driver.remove("box");
    expect(readFileSync(join(precious, "a"), "utf8")).toBe("kept");
    expect(existsSync(driver.path("box"))).toBe(false);
  });

  test("sweep() unmounts what nobody uses, and only that", async () => {
    const driver = fresh();
    for (const name of ["used", "left"]) await driver.mount(name, TMPFS);
    await driver.sweep(new Set(["used"]));
    expect(await mountsBelow(driver.root)).toEqual([driver.path("used")]);
    await driver.unmount("used");
  });

  test("mount() says what was to be mounted when it fails", async () => {
    const driver = fresh();
    await driver.create("box", {});
    const options = { type: "none", device: "/nowhere/at/all", o: "bind" };
    await expect(driver.mount("box", options)).rejects.toThrow(
      /^error while mounting volume '.*box\/_data': failed to mount local volume: .*ENOENT.*device \/nowhere\/at\/all/,
    );
  });
});
