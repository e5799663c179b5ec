/** From a registry on loopback to an image that can start. */

import { cost, costRows } from "./cost.ts";
import { run } from "./engine.ts";
import type { Bench, Row } from "./measure.ts";

export const pullBench: Bench = {
  name: "pull",
  async run(engines, { corpus, rounds }) {
    const rows: Row[] = [];
    for (const { label, reference } of await corpus.samples())
      rows.push(
        ...(await costRows(engines, {
          claim: `pull ${label}`,
          bound: "inflating, hashing and writing once",
          rounds,
          async sample(engine) {
            const spent = await cost(engine, "pull", "-q", ...engine.insecure, reference);
            await run(engine, "rmi", "-f", reference);
            return spent;
          },
        })),
      );
    return rows;
  },
};
