/** What many containers on one bridge, each with a published port, do to the start of the next, and how many rules they make. */

import { TINY } from "./corpus.ts";
import { type Engine, PATH, run } from "./engine.ts";
import { able, type Bench, median, type Point, wall } from "./measure.ts";

const COUNT = 500;
/** Containers between two looks at the rules. */
const STEP = 50;

interface Growth {
  /** Milliseconds of a start, the median of a step. */
  readonly start: Point[];
  /** What the kernel has for all of them. */
  readonly rules: Point[];
  readonly elements: Point[];
}

/** Rules, and what their sets and maps have, in the engine's networks. Rules of iptables' newer kind are among them. */
async function ruleset(engine: Engine): Promise<{ readonly rules: number; readonly elements: number }> {
  const command = ["nft", "-j", "list", "ruleset"];
  const child = Bun.spawn(engine.pen?.inside(...command) ?? command, { stdout: "pipe", env: { ...process.env, PATH } });
  const { nftables }: { nftables: Record<string, { readonly elem?: readonly unknown[] }>[] } = JSON.parse(
    await child.stdout.text(),
  );
  const rules = nftables.filter((one) => "rule" in one).length;
  const elements = nftables.reduce((sum, { set, map }) => sum + ((set ?? map)?.elem?.length ?? 0), 0);
  return { rules, elements };
}

async function grow(engine: Engine): Promise<Growth> {
  const growth: Growth = { start: [], rules: [], elements: [] };
  const flags = ["-d", "-p", "80"];
  for (let count = STEP; count <= COUNT; count += STEP) {
    const times: number[] = [];
    for (let at = count - STEP; at < count; at++)
      times.push(await wall(() => run(engine, "run", ...flags, "--name", `bench-${at}`, TINY, "sleep", "3600")));
    const { rules, elements } = await ruleset(engine);
    growth.start.push([count, median(times)]);
    growth.rules.push([count, rules]);
    growth.elements.push([count, elements]);
  }
  return growth;
}

export const crowdBench: Bench = {
  name: "crowd",
  apart: true,
  async run(engines) {
    const growths = new Map<string, Growth>();
    const names = Array.from({ length: COUNT }, (_, at) => `bench-${at}`);
    for (const engine of engines) {
      await able([engine], async () => growths.set(engine.name, await grow(engine))); // one after another: 500 of each at once fill the memory
      await able([engine], () => run(engine, "rm", "-f", ...names));
    }
    const points = (what: keyof Growth) => new Map([...growths].map(([name, growth]) => [name, growth[what]]));
    const row = (claim: string, unit: string, what: keyof Growth, at: number) => ({
      claim,
      unit,
      bound: "",
      values: new Map([...points(what)].map(([name, all]) => [name, all.at(at)?.[1] ?? Number.NaN])),
    });
    return [
      row(`run -d -p 80, the first ${STEP} of ${COUNT}`, "ms", "start", 0),
      { ...row(`run -d -p 80, the last ${STEP}`, "ms", "start", -1), bound: "as the first", points: points("start") },
      { ...row(`rules, ${COUNT} published ports`, "", "rules", -1), points: points("rules") },
      { ...row(`elements of sets and maps, ${COUNT} published ports`, "", "elements", -1), points: points("elements") },
    ];
  },
};
