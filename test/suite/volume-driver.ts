/** What every volume driver keeps to. */

import { describe, expect, test } from "bun:test";
import { mkdir, readdir, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { VolumeDriver } from "../../src/volume/driver.ts";

/** @param open  a driver without volumes; opened a second time at the same place, it is that of the next daemon */
export function volumeDriverSuite(subject: string, open: (place: string) => VolumeDriver, place: () => string): void {
  describe(subject, () => {
    let count = 0;
    /** A new volume. */
    const made = async (): Promise<{
      driver: VolumeDriver;
      name: string;
      path: string;
      reopen: () => VolumeDriver;
    }> => {
      const root = join(place(), `drivers-${count++}`);
      const driver = open(root);
      await driver.create("box", {});
      await driver.mount("box", {}); // where it is need not be known before
      await driver.unmount("box");
      return { driver, name: "box", path: driver.path("box"), reopen: () => open(root) };
    };

    test("create() keeps what is there", async () => {
      const { driver, name, path } = await made();
      await driver.mount(name, {});
      await writeFile(join(path, "a"), "kept");
      await driver.create(name, {});
      expect(await readFile(join(path, "a"), "utf8")).toBe("kept");
      await driver.unmount(name);
    });

    test("mount() makes a directory that all can enter, as often as it is asked", async () => {
      const { driver, name, path } = await made();
      await driver.mount(name, {});
      await driver.mount(name, {});
      expect((await stat(path)).mode & 0o7777).toBe(0o755);
      await driver.unmount(name);
      await driver.unmount(name);
    });

    test("fill() writes into an empty volume only", async () => {
      const { driver, name, path } = await made();
      const write = (text: string) => (directory: string) => writeFile(join(directory, "a"), text);
      await driver.fill(name, {}, false, write("first"));
      await driver.fill(name, {}, false, write("second"));
      await driver.mount(name, {});
      expect(await readFile(join(path, "a"), "utf8")).toBe("first");
      await driver.unmount(name);
    });

    test("fill() leaves an empty volume when it fails half-way", async () => {
      const { driver, name, path } = await made();
      const failing = async (directory: string) => {
        await writeFile(join(directory, "half"), "");
        throw new Error("no more");
      };
      await expect(driver.fill(name, {}, false, failing)).rejects.toThrow("no more");
      await driver.fill(name, {}, false, (directory) => mkdir(join(directory, "whole")));
      await driver.mount(name, {});
      expect(await readdir(path)).toEqual(["whole"]);
      await driver.unmount(name);
    });

    test("fill() of one that is mounted shows to whoever has it", async () => {
      const { driver, name, path } = await made();
      await driver.mount(name, {});
      const { ino } = await stat(path);
      await driver.fill(name, {}, true, (directory) => writeFile(join(directory, "a"), ""));
      expect((await stat(path)).ino).toBe(ino);
      await driver.unmount(name);
    });

    test("remove() takes everything, and twice is once", async () => {
      const { driver, name, path } = await made();
      await writeFile(join(path, "a"), "");
      await driver.remove(name);
      await driver.remove(name);
      await driver.create(name, {});
      await driver.mount(name, {});
      expect(await readdir(path)).toEqual([]);
      await driver.unmount(name);
    });

    test("sweep() keeps the files of every volume", async () => {
      const { name, path, reopen } = await made();
      await writeFile(join(path, "a"), "kept");
      const next = reopen();
      await next.sweep(new Set());
      await next.mount(name, {});
      expect(await readFile(join(next.path(name), "a"), "utf8")).toBe("kept");
      await next.unmount(name);
    });
  });
}
