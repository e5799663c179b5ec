/** From an image to a file, and back. */

import { rm } from "node:fs/promises";
import { join } from "node:path";
import { cost, costRows } from "./cost.ts";
import { run } from "./engine.ts";
import { able, type Bench } from "./measure.ts";

export const saveBench: Bench = {
  name: "save",
  async run(engines, { corpus, rounds, folder }) {
    const { label, reference } = await corpus.many();
    const ready = await able(engines, (engine) => run(engine, "pull", "-q", ...engine.insecure, reference));
    return costRows(ready, {
      claim: `save ${label}`,
      bound: "copying the layers",
      rounds,
      async sample(engine) {
        const path = join(folder, `${engine.name}.tar`);
        const spent = await cost(engine, "save", "-o", path, reference);
        await rm(path);
        return spent;
      },
    });
  },
};

export const loadBench: Bench = {
  name: "load",
  async run(engines, { corpus, rounds, folder }) {
    const [ours] = engines;
    if (!ours) return [];
    const { label, reference } = await corpus.many();
    const path = join(folder, "load.tar");
    await run(ours, "pull", "-q", reference);
    await run(ours, "save", "-o", path, reference);
    const rows = await costRows(engines, {
      claim: `load ${label}`,
      bound: "hashing and writing once",
      rounds,
      async sample(engine) {
        await run(engine, "rmi", "-f", reference).catch(() => {}); // not there in the first round
        return cost(engine, "load", "-q", "-i", path);
      },
    });
    await rm(path);
    return rows;
  },
};
