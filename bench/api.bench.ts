/** What the API costs: the smallest call, and a list of 50 containers. Needs a daemon, so rivals without one are left out. */

import { TINY } from "./corpus.ts";
import { type Engine, run } from "./engine.ts";
import { able, type Bench, inTurns, pidsOf, pss, rss, wall } from "./measure.ts";

const ROUNDS = 200;
const COUNT = 50;
const names = Array.from({ length: COUNT }, (_, index) => `bench-${index}`);

const get = async (engine: Engine, path: string): Promise<void> => {
  const response = await fetch(`http://d${path}`, { unix: engine.socket ?? "" });
  if (!response.ok) throw new Error(`${path}: ${response.status}`);
  await response.arrayBuffer();
};

async function startMany(engine: Engine): Promise<void> {
  for (let at = 0; at < COUNT; at += 8)
    await Promise.all(
      names
        .slice(at, at + 8)
        .map((name) => run(engine, "run", "-d", "--name", name, "--network", "none", TINY, "sleep", "600")),
    );
}

const removeAll = (engine: Engine): Promise<string> => run(engine, "rm", "-f", ...names);

export const apiBench: Bench = {
  name: "api",
  async run(engines) {
    const served = engines.filter(({ socket }) => socket !== undefined);
    const idle = new Map(
      served.map(({ name, pids }) => [name, pids.reduce((sum, pid) => sum + rss(pid), 0) / 2 ** 20]),
    );
    const ping = await inTurns(served, ROUNDS, (engine) => wall(() => get(engine, "/_ping")));
    const perContainer = new Map<string, number>();
    const running = await able(engines, startMany);
    for (const engine of running) {
      const shims = pidsOf(engine.shim);
      perContainer.set(engine.name, shims.reduce((sum, pid) => sum + pss(pid), 0) / COUNT / 2 ** 20);
    }
    const list = await inTurns(
      running.filter(({ socket }) => socket !== undefined),
      ROUNDS,
      (engine) => wall(() => get(engine, "/v1.40/containers/json")),
    );
    await able(running, removeAll);
    return [
      { claim: "daemon, idle, RSS", unit: "MiB", bound: "41 MiB of an empty Bun server", values: idle },
      {
        claim: `shim of each of ${COUNT} containers, PSS`,
        unit: "MiB",
        bound: "stack, and a page of each writable section",
        values: perContainer,
      },
      { claim: "GET /_ping", unit: "ms", bound: "a round trip over a unix socket", values: ping },
      { claim: `GET /containers/json, ${COUNT} running`, unit: "ms", bound: "serialising 50 KB", values: list },
    ];
  },
};
