/** The daemon dies in the middle of a commit, a save, a load, a prune: what the next one finds belongs together, and can be done again. */

import { expect, test } from "bun:test";
import { watch } from "node:fs";
import { join } from "node:path";
import { imageOf } from "../../bench/fixture/image.ts";
import { withDaemon } from "../support/api.ts";
import { dockerArchive } from "../support/archive.ts";
import { lastingContradictions } from "../support/audit.ts";

withDaemon("a daemon that dies over images", (api) => {
  const archive = (tag: string) =>
    dockerArchive([
      { image: imageOf({ layers: [[{ name: tag, content: Buffer.alloc(30 << 20, tag) }]] }), tags: [`${tag}:1`] },
    ]);

  /** Resolves when something happens in a folder of the data root. */
  const stirs = (...names: readonly string[]): Promise<void> => {
    const { promise, resolve } = Promise.withResolvers<void>();
    const watcher = watch(join(api.daemon.dataRoot, ...names), () => {
      watcher.close();
      resolve();
    });
    return promise;
  };

  /** Begins something, kills the daemon as soon as it is under way or over, and starts another. @returns what does not belong together */
  const killedDuring = async (begin: () => Promise<unknown>, underWay: Promise<unknown>): Promise<string[]> => {
    const work = begin().catch(() => {});
    await Promise.race([underWay, work]);
    await api.daemon.stop("SIGKILL");
    await work;
    await api.daemon.launch();
    return lastingContradictions(api.daemon);
  };

  test("during a commit, whose container runs on", async () => {
    await api.run("busy", [
      "sh",
      "-c",
      "dd if=/dev/urandom of=/big bs=1M count=30; echo ready; while :; do sleep 1; done",
    ]);
    await api.says("busy", /ready/);
    const commit = () => api.send("POST", "/commit?container=busy&repo=made&tag=1");
    expect(await killedDuring(commit, stirs("layers"))).toEqual([]);
    expect(JSON.parse(await commit()).Id).toMatch(/^sha256:/);
    await api.remove("busy"); // it was let go: one that is held still would not die
  });

  test("during a load", async () => {
    expect(await killedDuring(() => api.load(archive("first")), stirs())).toEqual([]);
    expect(await api.load(archive("first"))).toContain("Loaded image: first:1");
  });

  test("during a save", async () => {
    const started = Promise.withResolvers<void>();
    const save = async () => {
      const { body } = await api.daemon.api("/images/get?names=first:1");
      for await (const _ of body ?? []) started.resolve();
    };
    expect(await killedDuring(save, started.promise)).toEqual([]);
  });

  test("during a prune", async () => {
    await api.load(archive("second"));
    const filters = encodeURIComponent(JSON.stringify({ dangling: ["false"] }));
    const prune = () => api.send("POST", `/images/prune?filters=${filters}`);
    expect(await killedDuring(prune, stirs("layers"))).toEqual([]);
    await prune();
  });
});
