/** A daemon whose containers have trees of their own (vfs): what users see is the same. */

import { expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { e2e } from "../support/e2e.ts";

e2e(
  "the storage driver vfs",
  ({ ok, docker, sh }) => {
    test("containers run, change and are committed as with any other", async () => {
      expect(await ok("info", "--format", "{{.Driver}}")).toBe("vfs");
      expect(await sh("echo text > /etc/motd; cat /etc/motd")).toBe("text");
      await ok(
        "run",
        "--name",
        "it",
        "--network",
        "none",
        "busybox",
        "sh",
        "-c",
        "echo new > /new; rm /bin/wc; exit 0",
      );
      expect((await ok("diff", "it")).split("\n").toSorted()).toEqual(["A /new", "C /bin", "D /bin/wc"]);
      await ok("commit", "it", "changed:1");
      const run = ["run", "--rm", "--network", "none", "changed:1", "sh", "-c"];
      expect(await ok(...run, "cat /new; [ -e /bin/wc ] || echo gone")).toBe("new\ngone");
      await ok("rm", "it");
      await ok("rmi", "changed:1");
    });

    test("an export is what the container sees", async () => {
      const folder = mkdtempSync(join(tmpdir(), "bosun-export-"));
      try {
        const id = await ok("run", "-d", "--network", "none", "busybox", "sh", "-c", "echo x > /x");
        await ok("wait", id);
        await ok("export", "-o", join(folder, "x.tar"), id);
        const { stdout } = Bun.spawnSync(["tar", "-xOf", join(folder, "x.tar"), "x"]);
        expect(stdout.toString()).toBe("x\n");
        await ok("rm", id);
      } finally {
        rmSync(folder, { recursive: true });
      }
    });

    test("a size is refused where the disk cannot hold to it, and nothing is made", async () => {
      const { code, stderr } = await docker("create", "--name", "sized", "--storage-opt", "size=10m", "busybox");
      if (code === 0) return void (await ok("rm", "sized")); // a disk with quotas
      expect(stderr).toContain("--storage-opt size is not supported here");
      expect((await docker("inspect", "sized")).code).toBe(1);
    });
  },
  ["--storage-driver", "vfs"],
);
