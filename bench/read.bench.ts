/** What reading an image's files costs afterwards: cold, warm, and in many containers at once. */

import { readFileSync, writeFileSync } from "node:fs";
import { type Engine, run } from "./engine.ts";
import { able, type Bench, inTurns, type Row, wall } from "./measure.ts";

const READ_ALL = "find / -xdev -type f -print0 | xargs -0 cat > /dev/null";
const COUNT = 50;

const read = (engine: Engine, image: string) =>
  run(engine, "run", "--rm", "--network", "none", image, "sh", "-c", READ_ALL);

/** Source: Linux, Documentation/admin-guide/sysctl/vm.rst. */
function dropCaches(): void {
  Bun.spawnSync(["sync"]);
  writeFileSync("/proc/sys/vm/drop_caches", "3");
}

/** MiB. */
function pageCache(): number {
  const text = readFileSync("/proc/meminfo", "utf8");
  return Number(/^Cached:\s*(\d+) kB/m.exec(text)?.[1] ?? 0) / 1024;
}

/** How much the page cache grows when many containers read one image, MiB. */
async function growth(engine: Engine, image: string): Promise<number> {
  dropCaches();
  const before = pageCache();
  for (let at = 0; at < COUNT; at += 5) await Promise.all(Array.from({ length: 5 }, () => read(engine, image)));
  return pageCache() - before;
}

export const readBench: Bench = {
  name: "read",
  async run(engines, { corpus, rounds }) {
    const { label, reference } = await corpus.many();
    const ready = await able(engines, (engine) => run(engine, "pull", "-q", ...engine.insecure, reference));
    const cold = await inTurns(ready, rounds, async (engine) => {
      dropCaches();
      return (await wall(() => read(engine, reference))) / 1000;
    });
    const warm = await inTurns(ready, rounds, async (engine) => (await wall(() => read(engine, reference))) / 1000);
    const rows: Row[] = [
      { claim: `read ${label}, cold`, unit: "s", bound: "the disk, and starting a container", values: cold },
      { claim: `read ${label}, warm`, unit: "s", bound: "copying, and starting a container", values: warm },
    ];
    const grown = await inTurns(ready, 1, (engine) => growth(engine, reference));
    rows.push({
      claim: `page cache after ${COUNT} containers read it`,
      unit: "MiB",
      bound: "the files once",
      values: grown,
    });
    return rows;
  },
};
