/**
 * kill -9 of every shim at any instant of any operation, and of the daemon with them. Whoever asked gets an answer, the container counts as killed or
 * was never there, nothing of it stays on the host, and what was interrupted can be done.
 */

import { expect, test } from "bun:test";
import { Refusal, withDaemon } from "../support/api.ts";
import { lastingContradictions } from "../support/audit.ts";
import { shimsOf } from "../support/box.ts";
import { INSTANTS, instantOf, pass } from "../support/instants.ts";

interface Operation {
  readonly before?: () => Promise<unknown>;
  readonly act: () => Promise<unknown>;
}

const TRAPPED = ["sh", "-c", "trap 'exit 3' TERM; echo up; while :; do sleep 0.02; done"];
const BRIDGED = { host: { NetworkMode: "bridge" } };

/** Refused, or without an answer since the daemon went, too. */
function failed(error: unknown): void {
  const isCut = error instanceof Error && "code" in error && /^(ECONN|Connection|FailedTo)/.test(String(error.code));
  if (!isCut && !(error instanceof Refusal)) throw error;
}

withDaemon(
  "kill -9 of the shims",
  (api) => {
    const running = async () => {
      await api.run("it", TRAPPED, BRIDGED);
      await api.says("it", /up\n/); // process 1 is deaf to what it does not handle yet
    };
    const post = (path: string) => () => api.send("POST", path);
    const exec = () => api.exec("it", ["sleep", "1000"]);
    const withExec = () => running().then(exec);

    /** Gone with its end, whatever that was. */
    async function runAndRemove(): Promise<void> {
      const id = await api.create("it", ["sh", "-c", "echo hi; exit 4"], {
        host: { NetworkMode: "bridge", AutoRemove: true },
      });
      const removed = api.wait(id, "removed");
      removed.catch(() => {}); // looked at below, or by nobody when the start fails
      await api.start(id);
      await removed;
    }

    const operations: Readonly<Record<string, Operation>> = {
      start: { before: () => api.create("it", TRAPPED, BRIDGED), act: () => api.start("it") },
      "run --rm": { act: runAndRemove },
      exec: { before: running, act: exec },
      stop: { before: running, act: post("/containers/it/stop?t=10") },
      restart: { before: running, act: post("/containers/it/restart?t=0") },
      pause: { before: running, act: post("/containers/it/pause") },
      "rm -f with an exec": { before: withExec, act: () => api.remove("it") },
    };

    async function killShims(): Promise<void> {
      for (const pid of await shimsOf(api.daemon.execRoot)) {
        try {
          process.kill(pid, "SIGKILL");
        } catch {} // it has just ended
      }
    }

    async function timed({ before, act }: Operation): Promise<number> {
      await before?.();
      const began = performance.now();
      await act();
      const took = performance.now() - began;
      await api.remove("it");
      return took;
    }

    const violence: Readonly<Record<string, () => Promise<void>>> = {
      "the shims": killShims,
      "the shims and the daemon": async () => {
        await Promise.all([killShims(), api.daemon.stop("SIGKILL")]);
      },
    };

    // Of the daemon's death alone crash.test.ts knows more.
    const together = ["start", "run --rm", "exec", "rm -f with an exec"];
    const cases = [
      ...Object.keys(operations).map((what) => ["the shims", what] as const),
      ...together.map((what) => ["the shims and the daemon", what] as const),
    ];

    test.each(cases)("%s, at any instant of %s", async (whom, what) => {
      const operation = operations[what] ?? { act: async () => {} };
      const took = await timed(operation);
      const rounds = Math.ceil(INSTANTS / 2);
      for (let round = 0; round < rounds; round++) {
        await operation.before?.();
        const instant = instantOf(round, took, rounds);
        const acting = operation.act().catch(failed);
        await pass(instant);
        await violence[whom]?.();
        await acting;
        if (api.daemon.pid === 0) await api.daemon.launch();
        const when = `killed after ${instant.toFixed(2)} of ${took.toFixed(2)} ms`;
        expect([when, await lastingContradictions(api.daemon)]).toEqual([when, []]);
        await api.remove("it");
        await operation.before?.();
        await operation.act();
        await api.remove("it");
        expect([when, await lastingContradictions(api.daemon)]).toEqual([when, []]);
      }
    });
  },
  { expected: /request failed/ },
);
