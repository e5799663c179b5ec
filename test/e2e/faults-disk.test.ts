/** A disk that is full while images come, containers are made, run, log, end and go, and while the daemon starts. */

import { afterAll, afterEach, beforeAll, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { imageOf } from "../../bench/fixture/image.ts";
import { FakeRegistry } from "../fake/registry.ts";
import { withDaemon } from "../support/api.ts";
import { dockerArchive } from "../support/archive.ts";
import { lastingContradictions } from "../support/audit.ts";
import { testArchive } from "../support/busybox.ts";
import { until } from "../support/patience.ts";
import { makeSmallDisk, type SmallDisk } from "../support/small-disk.ts";

const KIB = 1 << 10;
const MIB = 1 << 20;
/** What a database without anything in reserve is given time to set aside again, ms. */
const REFILL_MS = 1100;

const remote = imageOf({ layers: ["a", "b"].map((name) => [{ name, content: randomBytes(3 * MIB) }]) });
const archive = dockerArchive([{ image: remote, tags: ["loaded:1"] }]);
const NO_SPACE = /no space left on device/;

withDaemon(
  "a full disk",
  (api) => {
    let disk: SmallDisk | undefined;
    /** Bytes that are free, or set aside: the database gives its reserve away, and takes it back when it likes. */
    const room = (): number => {
      const reserve = statSync(join(api.daemon.dataRoot, "bosun.db-reserve"), { throwIfNoEntry: false });
      return (disk?.free() ?? 0) + (reserve?.size ?? 0);
    };
    let registry: FakeRegistry | undefined;

    beforeAll(async () => {
      registry = await FakeRegistry.start();
      registry.push("x/big", "1", remote);
      await api.daemon.stop();
      rmSync(api.daemon.dataRoot, { recursive: true });
      disk = await makeSmallDisk(48 * MIB, { at: api.daemon.dataRoot });
      await api.daemon.launch();
      await api.load(testArchive());
    });
    afterAll(async () => {
      await registry?.[Symbol.asyncDispose]();
      if (api.daemon.pid > 0) await api.daemon.stop("SIGKILL");
      await disk?.[Symbol.asyncDispose]();
    });
    afterEach(async () => {
      disk?.clear();
      await api.remove("it");
      expect(await lastingContradictions(api.daemon)).toEqual([]);
    });

    test.each([7 * MIB, 4 * MIB, 100 * KIB, 0])(
      "of %d free bytes: a pull says so, gives back all it took, and works later",
      async (left) => {
        const reference = `${registry?.host}/x/big:1`;
        const before = room();
        disk?.fill(left);
        expect((await api.refusalOf(api.pull(reference)))?.message).toMatch(NO_SPACE);
        disk?.clear();
        expect(await lastingContradictions(api.daemon)).toEqual([]);
        expect(room()).toBeGreaterThan(before - 64 * KIB);
        await api.pull(reference);
        await api.removeImage(reference);
      },
    );

    test.each([4 * MIB, 100 * KIB, 0])("of %d free bytes: a load says so and gives back all it took", async (left) => {
      disk?.fill(left);
      expect((await api.refusalOf(api.load(archive)))?.message).toMatch(NO_SPACE);
    });

    test.each([8 * KIB, 4 * KIB, 0])("of %d free bytes: a create makes all of a container or nothing", async (left) => {
      disk?.fill(left);
      const refusal = await api.refusalOf(api.create("it", ["true"]));
      if (refusal) expect(refusal.message).toMatch(NO_SPACE);
      expect(await lastingContradictions(api.daemon)).toEqual([]);
    });

    test("a start says so, and works later", async () => {
      await api.create("it", ["sh", "-c", "exit 3"]);
      disk?.fill();
      expect((await api.refusalOf(api.start("it")))?.message).toMatch(NO_SPACE);
      expect(await lastingContradictions(api.daemon)).toEqual([]);
      disk?.clear();
      await api.start("it");
      expect(await api.wait("it")).toBe(3);
    });

    test("a container that logs runs on, and what it writes when there is space again is in the log", async () => {
      const script =
        'i=0; echo first; until [ -e /stop ]; do i=$((i+1)); echo "$i xxxxxxxxxxxxxxxxxxxx"; done; echo last; exit 4';
      const id = await api.run("it", ["sh", "-c", script]);
      disk?.fill();
      await api.exec("it", ["sleep", "0.1"]);
      await until("the log has taken what was left", () => disk?.free() === 0);
      disk?.clear();
      await api.exec("it", ["touch", "/stop"]);
      expect(await api.wait("it")).toBe(4);
      const text = await api.send("GET", "/containers/it/logs?stdout=1");
      expect(text).toContain("first\n");
      expect(text).toContain("last\n");
      expect(await api.logged(id)).toContain("last\n"); // each line is whole: it is parsed
    });

    test("a container's end is known, to the next daemon as well, which starts without space", async () => {
      await Bun.sleep(REFILL_MS);
      await api.run("it", ["sh", "-c", "sleep 0.2; exit 5"]);
      disk?.fill();
      expect(await api.wait("it")).toBe(5);
      await api.daemon.restart("SIGKILL");
      expect((await api.inspect("it")).State).toMatchObject({ Status: "exited", ExitCode: 5 });
    });

    test("containers and images can be removed", async () => {
      await api.load(archive);
      await api.create("it", ["true"]);
      await Bun.sleep(REFILL_MS);
      await api.wait(await api.run("other", ["true"]));
      disk?.fill();
      await api.remove("it");
      await api.remove("other");
      await api.removeImage("loaded:1");
      expect(await lastingContradictions(api.daemon)).toEqual([]);
      expect(room()).toBeGreaterThan(6 * MIB);
    });
  },
  { expected: /no space left on device/ },
);
