/** Stores that somebody has damaged: what a check finds, and what it repairs. */

import { expect, test } from "bun:test";
import { appendFile, mkdir, readdir, rm, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { imageOf } from "../../bench/fixture/image.ts";
import { DockerRegistry, hasDockerRegistry } from "../../bench/fixture/registry.ts";
import { type Digest, digestOf, hexOf } from "../../src/base/digest.ts";
import { withDaemon } from "../support/api.ts";
import { busyboxImage, testArchive } from "../support/busybox.ts";

interface Finding {
  readonly what: string;
  readonly name: string;
  readonly detail: string;
  readonly repaired?: string;
  readonly failed?: string;
}

withDaemon("fsck", (api) => {
  const lines = async (query = ""): Promise<readonly Finding[]> => {
    const text = await api.send("POST", `/bosun/fsck${query}`);
    return text
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line));
  };
  /** @returns `what detail` of each finding */
  const found = async (query = ""): Promise<readonly string[]> =>
    (await lines(query)).slice(0, -1).map(({ what, detail }) => `${what}: ${detail}`);
  const path = (...names: readonly string[]) => join(api.daemon.dataRoot, ...names);
  const [busybox] = busyboxImage().diffIds;
  const layerPath = (diffId: Digest | undefined, ...names: readonly string[]) =>
    path("layers", hexOf(diffId ?? "sha256:"), ...names);
  const runs = async () => {
    await api.run("probe", ["true"]);
    expect(await api.wait("probe")).toBe(0);
    await api.remove("probe");
  };

  test("a sound store has nothing to find, also in full, and while a container runs", async () => {
    await api.run("sleeper", ["sleep", "1000"]);
    expect(await lines("?full=1")).toEqual([{ found: 0, left: 0 } as unknown as Finding]);
    await api.remove("sleeper");
  });

  test("orphans are found, and removed when asked", async () => {
    const stray = digestOf("nobody's");
    await writeFile(path("blobs", "sha256", hexOf(stray)), "nobody's");
    await mkdir(layerPath(stray), { recursive: true });
    await mkdir(path("snapshots", "stray"));
    await mkdir(path("containers", "stray"));
    await mkdir(join(api.daemon.execRoot, "tasks", "stray"), { recursive: true });
    const expected = [
      "snapshot: no container has it",
      "container: its folder is there, and no record of it",
      "task: its run directory is there, and its container does not run",
      "blob: nobody needs it",
      "layer: nobody needs it",
    ];
    expect(await found()).toEqual(expected);
    const repaired = await lines("?repair=1");
    expect(repaired.slice(0, -1).map((one) => one.repaired)).toEqual(expected.map(() => "removed"));
    expect(repaired.at(-1)).toEqual({ found: 5, left: 0 } as unknown as Finding);
    expect(await found()).toEqual([]);
    expect(await readdir(path("snapshots"))).toEqual([]);
  });

  test.each(["missing", "cut"])("an index that is %s is made again of its tar", async (what) => {
    const index = layerPath(busybox, "erofs");
    if (what === "missing") await rm(index);
    else await truncate(index, 1000);
    expect(await found()).toEqual([expect.stringMatching(/^layer: its index (is missing|cannot be read)/)]);
    expect((await lines("?repair=1"))[0]?.repaired).toBe("its index was made again of its tar");
    expect(await found("?full=1")).toEqual([]);
    await runs();
  });

  test("a damaged tar that was loaded cannot be repaired, until it is loaded again", async () => {
    await appendFile(layerPath(busybox, "tar"), "damage");
    expect(await found()).toEqual([]); // only reading all of it tells
    expect(await found("?full=1")).toEqual([expect.stringContaining("layer: its tar is damaged")]);
    const [finding] = await lines("?full=1&repair=1");
    expect(finding?.failed).toContain("pull or load");
    expect(await found()).toContainEqual(expect.stringContaining("is missing: pull or load it again"));
    await api.load(testArchive());
    expect(await found("?full=1")).toEqual([]);
    await runs();
  });

  test.if(hasDockerRegistry)("what was pulled is made again of its compressed form, and does without it", async () => {
    await using registry = await DockerRegistry.start();
    const image = imageOf({ layers: [[{ name: "a", content: "a" }]] });
    await registry.push("a", "1", image);
    await api.pull(`${registry.host}/a:1`);
    const [diffId, blob] = [image.diffIds[0], image.layers[0]?.descriptor.digest];
    if (!diffId || !blob) throw new Error("no layer");
    const foundOf = async (name: string) =>
      (await lines("?full=1&repair=1")).find((one) => one.name === name)?.repaired;
    await rm(layerPath(diffId, "tar"));
    expect(await foundOf(diffId)).toBe("it was unpacked again from its compressed form");
    await writeFile(path("blobs", "sha256", hexOf(blob)), "damage");
    expect(await foundOf(blob)).toBe("dropped: images do without it");
    expect(await foundOf(blob)).toBeUndefined();
  });
});
