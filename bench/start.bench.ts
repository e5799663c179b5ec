/** How long a container takes to start and end, and a process in one, as the user of a command line waits for it. */

import { TINY } from "./corpus.ts";
import { run } from "./engine.ts";
import { able, type Bench, inTurns, wall } from "./measure.ts";

const ROUNDS = 20;

export const startBench: Bench = {
  name: "start",
  async run(engines) {
    const client = await inTurns(engines, ROUNDS, (engine) => wall(() => run(engine, "version")));
    const start = await inTurns(engines, ROUNDS, (engine) =>
      wall(() => run(engine, "run", "--rm", "--network", "none", TINY, "true")),
    );
    const running = await able(engines, (engine) =>
      run(engine, "run", "-d", "--name", "bench-exec", "--network", "none", TINY, "sleep", "600"),
    );
    const exec = await inTurns(running, ROUNDS, (engine) => wall(() => run(engine, "exec", "bench-exec", "true")));
    await able(running, (engine) => run(engine, "rm", "-f", "bench-exec"));
    return [
      { claim: "client alone (version)", unit: "ms", bound: "the client's own start", values: client },
      {
        claim: "run --rm true, network none",
        unit: "ms",
        bound: "client, and 3 ms of namespaces, mounts, cgroups",
        values: start,
      },
      { claim: "exec true", unit: "ms", bound: "client, and a fork in the container's namespaces", values: exec },
    ];
  },
};
