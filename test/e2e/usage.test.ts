/** What is used, what goes when it is asked for, with the real CLI; du judges the sizes. */

import { expect, test } from "bun:test";
import { join } from "node:path";
import { imageOf } from "../../bench/fixture/image.ts";
import { DockerRegistry, hasDockerRegistry } from "../../bench/fixture/registry.ts";
import { dockerArchive } from "../support/archive.ts";
import { multiPlatform } from "../support/busybox.ts";
import { e2e } from "../support/e2e.ts";

interface DataUsage {
  readonly LayersSize: number;
  readonly Images:
    | readonly { readonly Size: number; readonly SharedSize: number; readonly Containers: number }[]
    | null;
  readonly Containers: readonly { readonly SizeRw: number; readonly SizeRootFs: number }[] | null;
  readonly Volumes: readonly unknown[] | null;
}

const sum = (numbers: readonly number[]): number => numbers.reduce((total, each) => total + each, 0);

e2e("usage and prunes", (engine) => {
  const { docker, ok } = engine;
  const usage = (path = "/system/df") => engine.daemon.json<DataUsage>(path);
  const load = async (tag: string, ...contents: string[]) => {
    const layers = contents.map((content) => [{ name: content.slice(0, 20), content }]);
    await engine.load(
      dockerArchive([{ image: imageOf({ layers, config: { created: "2020-01-02T03:04:05Z" } }), tags: [tag] }]),
    );
  };

  test("df agrees with du, and counts what is shared once", async () => {
    await load("one:1", "s".repeat(3_000_000), "1".repeat(1_000_000));
    await load("two:1", "s".repeat(3_000_000), "2".repeat(1_000_000));
    const id = await ok(
      "create",
      "--network",
      "none",
      "busybox",
      "dd",
      "if=/dev/zero",
      "of=/zeros",
      "bs=1M",
      "count=5",
    );
    await ok("start", "-a", id);
    const { LayersSize, Images, Containers } = await usage();
    const { dataRoot } = engine.daemon;
    const folders = ["layers", "blobs", "snapshots"].map((name) => join(dataRoot, name));
    const du = Bun.spawnSync(["du", "-csB1", ...folders]).stdout.toString();
    const onDisk = Number(/(\d+)\s+total/.exec(du)?.[1]);
    const told = LayersSize + sum((Containers ?? []).map(({ SizeRw }) => SizeRw));
    expect(Math.abs(told - onDisk) / onDisk).toBeLessThan(0.01);
    expect(sum((Images ?? []).map(({ Size }) => Size))).toBeGreaterThan(LayersSize + 2_900_000);
    expect((Images ?? []).filter(({ SharedSize }) => SharedSize >= 3_000_000).length).toBeGreaterThanOrEqual(2);
    expect(await ok("ps", "-as", "--format", "{{.Size}}", "-f", `id=${id}`)).toStartWith("5.24MB (virtual ");
    await ok("rm", id);
  });

  test("df has the shape of each version, and only what is asked for", async () => {
    expect(Object.keys(await usage("/v1.41/system/df"))).toContain("BuilderSize");
    expect(Object.keys(await usage("/v1.50/system/df"))).not.toContain("BuilderSize");
    const images = await usage("/v1.50/system/df?type=image");
    expect([images.Containers, images.Volumes, Array.isArray(images.Images)]).toEqual([null, null, true]);
    expect((await engine.daemon.api("/system/df?type=stars")).status).toBe(400);
    expect(await ok("system", "df")).toMatch(/^Images +\d+ +\d+ +[\d.]+MB +[\d.]+MB/m);
    expect(await ok("system", "df", "-v")).toContain("SHARED SIZE");
  });

  test("image prune takes what has no name, or with -a what nobody uses, by label and age", async () => {
    await load("named:1", "first");
    await load("named:1", "second"); // the first has no name now
    const lines = await ok("image", "prune", "-f");
    expect(lines).toMatch(/^Deleted Images:\ndeleted: sha256:/);
    expect(lines).toMatch(/Total reclaimed space: [1-9]/);
    expect(await ok("image", "prune", "-f")).toBe("Total reclaimed space: 0B");
    expect(await ok("image", "prune", "-af", "--filter", "label=none")).toBe("Total reclaimed space: 0B");
    expect(await ok("images", "-q", "-f", "until=24h", "named")).not.toBe("");
    const used = await engine.sleeper();
    await ok("image", "prune", "-af", "--filter", "until=24h", "--filter", "label!=shared");
    const left = (await ok("images", "--format", "{{.Repository}}")).split("\n");
    expect(left.toSorted()).toEqual(["busybox", "opinionated"]);
    await ok("rm", "-f", used);
  });

  test("container prune takes what has ended, by age and label", async () => {
    const keep = await ok("create", "-l", "keep=1", "busybox");
    const gone = await ok("create", "busybox");
    expect(await ok("container", "prune", "-f", "--filter", "until=1h")).toBe("Total reclaimed space: 0B");
    expect(await ok("container", "prune", "-f", "--filter", "label!=keep")).toContain(gone);
    expect(await ok("ps", "-aq", "--no-trunc")).toBe(keep);
    await ok("rm", keep);
    expect((await docker("container", "prune", "-f", "--filter", "colour=red")).stderr).toContain(
      "invalid filter 'colour'",
    );
  });

  test("system prune goes through with everything that there is", async () => {
    await ok("create", "busybox");
    const output = await ok("system", "prune", "-f");
    expect(output).toContain("Deleted Containers:");
    expect(await ok("volume", "prune", "-f")).toBe("Total reclaimed space: 0B");
  });

  test.if(hasDockerRegistry)("images --tree shows the platforms of a name", async () => {
    await using registry = await DockerRegistry.start();
    const { host, foreign } = await multiPlatform(registry, "tree", "1");
    const name = `${registry.host}/tree:1`;
    await ok("pull", "-q", name);
    const tree = await ok("images", "--tree", name.replace(":1", ""));
    expect(tree).toContain(name);
    expect(tree).toContain("linux/amd64".replace("amd64", process.arch === "arm64" ? "arm64" : "amd64"));
    const [listed] = await engine.daemon.json<
      { Manifests: { ID: string; Available: boolean; Size: { Content: number } }[] }[]
    >(`/v1.50/images/json?manifests=1&filters=${encodeURIComponent(JSON.stringify({ reference: [name] }))}`);
    expect(listed?.Manifests.map(({ ID, Available }) => [ID, Available])).toEqual([
      [host.manifest.descriptor.digest, true],
      [foreign.manifest.descriptor.digest, false],
    ]);
    const content = [host.manifest, host.config, ...host.layers].map(({ bytes }) => bytes.byteLength);
    expect(listed?.Manifests[0]?.Size.Content).toBe(sum(content));
    await ok("rmi", name);
  });
});
