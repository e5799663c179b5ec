/** Two hundred containers that were started at once, and a daemon that dies: the next one has all of them, as they were. BOSUN_CROWD gives another number, and tells the times. */

import { expect, test } from "bun:test";
import { withDaemon } from "../support/api.ts";
import { lastingContradictions } from "../support/audit.ts";

const CROWD = Number(process.env.BOSUN_CROWD ?? 200);
const NAMES = Array.from({ length: CROWD }, (_, index) => `crowd-${index}`);
/** Enough for the kernel on the smallest machine; that nothing hangs is what it is for. */
const PATIENCE_MS = 180_000;

withDaemon("a crowd", (api) => {
  const list = async () => {
    const found = await api.daemon.json<{ Names: string[]; State: string; Id: string }[]>("/containers/json?all=1");
    return found.filter(({ State }) => State === "running").map(({ Id }) => Id);
  };

  const pids = async (ids: readonly string[]) => Promise.all(ids.map(async (id) => (await api.inspect(id)).State.Pid));

  test(
    "of containers is started at once, adopted by the next daemon, and goes at once",
    async () => {
      const host = { NetworkMode: process.env.BOSUN_CROWD_NETWORK ?? "none" };
      const began = performance.now();
      const ids = await Promise.all(NAMES.map((name) => api.run(name, ["sleep", "1000"], { host })));
      const started = performance.now();
      const before = await pids(ids);
      await api.daemon.stop("SIGKILL");
      const killed = performance.now();
      await api.daemon.launch();
      const back = performance.now();
      expect((await list()).toSorted()).toEqual(ids.toSorted());
      expect(await pids(ids)).toEqual(before);
      await Promise.all(NAMES.map((name) => api.remove(name)));
      const removed = performance.now();
      expect(await lastingContradictions(api.daemon)).toEqual([]);
      if (process.env.BOSUN_CROWD)
        console.log(
          `${CROWD} started in ${(started - began).toFixed(0)} ms, adopted in ${(back - killed).toFixed(0)} ms, removed in ${(removed - back).toFixed(0)} ms`,
        );
    },
    PATIENCE_MS,
  );
});
