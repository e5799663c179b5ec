/** From a registry on loopback to an image that can start: 30,000 small files, gzip and zstd. */

import { manyFiles, pushed } from "./corpus.ts";
import { run } from "./engine.ts";
import { type Bench, inTurns, type Row, wall } from "./measure.ts";

const ROUNDS = 3;

export const pullBench: Bench = {
  name: "pull",
  async run(engines) {
    const images = new Map((["gzip", "zstd"] as const).map((compression) => [compression, manyFiles(compression)]));
    const { registry, references } = await pushed(images);
    await using _ = registry;
    const rows: Row[] = [];
    for (const compression of images.keys()) {
      const reference = references.get(compression) ?? "";
      const blob = images.get(compression)?.layers[0]?.bytes.byteLength ?? 0;
      const insecure = (name: string) => (name === "podman" ? ["--tls-verify=false"] : []);
      const values = await inTurns(engines, ROUNDS, async (engine) => {
        const ms = await wall(() => run(engine, "pull", "-q", ...insecure(engine.name), reference));
        await run(engine, "rmi", "-f", reference);
        return ms / 1000;
      });
      const size = `${(blob / 1e6).toFixed(0)} MB`;
      rows.push({
        claim: `pull + unpack 30,000 files, ${compression}, ${size}`,
        unit: "s",
        bound: "reading, hashing and inflating once",
        values,
      });
    }
    return rows;
  },
};
