/** From an image to an empty registry on loopback. */

import { cost, costRows } from "./cost.ts";
import { run } from "./engine.ts";
import { DockerRegistry } from "./fixture/registry.ts";
import { able, type Bench } from "./measure.ts";

export const pushBench: Bench = {
  name: "push",
  async run(engines, { corpus, rounds }) {
    const { label, reference } = await corpus.many();
    const ready = await able(engines, (engine) => run(engine, "pull", "-q", ...engine.insecure, reference));
    return costRows(ready, {
      claim: `push ${label}`,
      bound: "sending the compressed layers",
      rounds,
      async sample(engine) {
        await using registry = await DockerRegistry.start();
        const target = `${registry.host}/pushed:1`;
        await run(engine, "tag", reference, target);
        const spent = await cost(engine, "push", "-q", ...engine.insecure, target);
        await run(engine, "rmi", target);
        return spent;
      },
    });
  },
};
