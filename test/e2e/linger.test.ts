/** Layers stay mounted for a while, so that the next container finds their pages in the cache; but not longer than the daemon, or the image. */

import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { withDaemon } from "../support/api.ts";

withDaemon(
  "layers that linger",
  (api) => {
    const mounted = () =>
      readFileSync("/proc/self/mountinfo", "utf8")
        .split("\n")
        .filter((line) => line.includes(` ${join(api.daemon.execRoot, "layers")}/`)).length;

    const run = async () => {
      expect(await api.wait(await api.run("it", ["true"]))).toBe(0);
      await api.remove("it");
    };

    test("a layer outlives its last container, not the daemon", async () => {
      await run();
      const before = mounted();
      await run();
      expect(mounted()).toBe(before);
      await api.daemon.restart();
      expect(mounted()).toBe(0);
    });

    test("a layer outlives no image", async () => {
      await run();
      for (const { Id } of await api.daemon.json<{ Id: string }[]>("/images/json")) await api.removeImage(Id); // they share it
      expect(mounted()).toBe(0);
    });
  },
  { flags: ["--layer-linger", "600"] },
);
