/** What a container has changed, looked at and kept: 1,000 new files. */

import { TINY } from "./corpus.ts";
import { cost, costRows } from "./cost.ts";
import { type Engine, run } from "./engine.ts";
import { able, type Bench } from "./measure.ts";

const NAME = "bench-changed";
const SCRIPT = "i=0; while [ $i -lt 1000 ]; do echo $i > /file-$i; i=$((i+1)); done";

const change = (engine: Engine) => run(engine, "run", "--name", NAME, "--network", "none", TINY, "sh", "-c", SCRIPT);
const remove = (engine: Engine) => run(engine, "rm", NAME);

export const commitBench: Bench = {
  name: "commit",
  async run(engines, { rounds }) {
    const ready = await able(engines, change);
    const rows = await costRows(ready, {
      claim: "commit, 1,000 files changed",
      bound: "reading and writing them once",
      rounds,
      async sample(engine, round) {
        const image = `bench-committed:${round + 1}`;
        const spent = await cost(engine, "commit", NAME, image);
        await run(engine, "rmi", image);
        return spent;
      },
    });
    await able(ready, remove);
    return rows;
  },
};

export const diffBench: Bench = {
  name: "diff",
  async run(engines, { rounds }) {
    const ready = await able(engines, change);
    const rows = await costRows(ready, {
      claim: "diff, 1,000 files changed",
      bound: "client, and looking at each file once",
      rounds,
      sample: (engine) => cost(engine, "diff", NAME),
    });
    await able(ready, remove);
    return rows;
  },
};
