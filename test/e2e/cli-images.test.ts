/** Our own command beside docker's, both asked the same: images and what is done with them. */

import { describe, expect, test } from "bun:test";
import { imageOf, indexOf } from "../../bench/fixture/image.ts";
import { FakeRegistry } from "../fake/registry.ts";
import { dockerArchive } from "../support/archive.ts";
import { bosunOf } from "../support/bosun.ts";
import { e2e } from "../support/e2e.ts";

e2e("bosun's commands for images", (engine) => {
  const bosun = bosunOf(engine);
  const { ok } = bosun;
  const load = (tag: string, ...names: string[]) =>
    engine.load(
      dockerArchive([
        { image: imageOf({ layers: names.map((name) => [{ name, content: name.repeat(9999) }]) }), tags: [tag] },
      ]),
    );

  describe("manifest inspect", () => {
    const image = imageOf();
    const platforms = ["amd64", "arm64"].map((architecture) => ({ os: "linux", architecture }));
    const images = platforms.map((platform) => ({ image: imageOf({ platform, docker: true }), platform }));

    test.each([
      ["app:v1", []],
      ["app:docker", []],
      ["app:multi", []],
      ["app:v1", ["--verbose"]],
      ["app:multi", ["-v"]],
    ])("%s %p says what docker says", async (name, flags) => {
      await using registry = await FakeRegistry.start();
      registry.push("app", "v1", image);
      registry.push("app", "docker", imageOf({ docker: true }));
      for (const one of images) registry.push("app", one.platform.architecture, one.image);
      registry.pushDocument("app", "multi", indexOf(images, true));
      const words = ["manifest", "inspect", ...flags];
      const full = `${registry.host}/${name}`;
      expect(JSON.parse(await ok(...words, full))).toEqual(JSON.parse(await engine.ok(...words, "--insecure", full)));
    });

    test("tells in words what is not there", async () => {
      await using registry = await FakeRegistry.start();
      const { code, stderr } = await bosun("manifest", "inspect", `${registry.host}/none`);
      expect([code, stderr]).toEqual([1, expect.stringMatching(/^Error response from daemon: .*none/)]);
    });
  });

  test.each([
    ["image ls --format {{.Repository}}:{{.Tag}}@{{.ID}}"],
    ["images -q --no-trunc busybox"],
    ["images --digests busybox"],
    ["image inspect busybox --format {{.Id}}"],
    ["inspect -f {{index .RepoTags 0}} busybox"],
    ["history --format {{.CreatedBy}}|{{.Size}} opinionated:1"],
    ["history --no-trunc -q busybox"],
    ["system df --format {{.Type}}:{{.TotalCount}}"],
  ])("%s says what docker says", async (line) => {
    const words = line.match(/\{\{.*?\}\}\S*|\S+/g) ?? [];
    const theirs = (await engine.ok(...words)).split("\n");
    const mine = (await ok(...words)).split("\n");
    const isDf = line.startsWith("system df"); // docker's has a line for a build cache, too
    expect(mine).toEqual(isDf ? theirs.slice(0, 3) : theirs.map((text) => text.trimEnd()));
  });

  test("image inspect shows the configuration as the engine tells it, docker without what is empty", async () => {
    const words = ["image", "inspect", "--format", "{{json .Config}}", "opinionated:1"];
    const told = Object.entries(JSON.parse(await ok(...words))).filter(([, value]) => Boolean(value));
    expect(Object.fromEntries(told)).toEqual(JSON.parse(await engine.ok(...words)));
  });

  test("save, rmi, load, tag, commit, diff, export and import go round", async () => {
    await load("round:1", "one");
    const path = engine.daemon.path("round.tar");
    const id = await ok("image", "inspect", "-f", "{{.Id}}", "round:1");
    await ok("save", "-o", path, "round:1");
    expect(await ok("rmi", "round:1")).toContain(`Deleted: ${id}`);
    expect(await ok("load", "-i", path)).toBe("Loaded image: round:1");
    expect(await ok("image", "inspect", "-f", "{{.Id}}", "round:1")).toBe(id);
    await ok("tag", "round:1", "round:2");
    const container = await engine.ok("create", "busybox", "sh", "-c", "echo x > /made");
    await engine.ok("start", "-a", container);
    expect(await ok("diff", container)).toBe("A /made");
    const committed = await ok("commit", "-c", "LABEL a=b", "-m", "why", container, "made:1");
    expect(await ok("inspect", "-f", "{{.Id}} {{.Config.Labels}} {{.Comment}}", "made:1")).toBe(
      `${committed} map[a:b] why`,
    );
    const tree = engine.daemon.path("tree.tar");
    await ok("export", "-o", tree, container);
    expect(await ok("import", "-c", "CMD cat /made", tree, "tree:1")).toMatch(/^sha256:/);
    expect(await engine.ok("run", "--rm", "--network", "none", "tree:1")).toBe("x");
    await engine.ok("rm", container);
    expect(await ok("image", "rm", "tree:1", "made:1", "round:1", "round:2")).toContain("Untagged: round:2");
    const missing = await bosun("inspect", "nothing");
    expect([missing.code, missing.stderr]).toEqual([1, "error: no such object: nothing\n"]);
  });

  test("images --tree shows shared layers above what shares them, and what removal frees", async () => {
    await load("tree:a", "base", "a");
    await load("tree:b", "base", "b");
    const lines = (await ok("images", "--tree", "tree")).split("\n");
    expect(lines[0]).toMatch(/^LAYER +SIZE +SHARED BY +IMAGE +FREES +CONTAINERS$/);
    expect(lines[1]).toMatch(/^└─ [0-9a-f]{12} +[\d.]+kB +2$/);
    const ends = lines
      .slice(2)
      .map((line) => /^ {3}[├└]─ [0-9a-f]{12} +[\d.]+kB +(tree:[ab]) +[\d.]+kB$/.exec(line)?.[1]);
    expect(ends.toSorted()).toEqual(["tree:a", "tree:b"]);
    expect(await ok("image", "prune", "-af", "--filter", "label!=shared", "--filter", "until=1h")).toContain(
      "untagged: tree:a",
    );
  });

  test("system fsck says that all is well, and exits with 1 when something is left", async () => {
    expect(await ok("system", "fsck", "--full")).toBe("0 found, 0 left");
    await Bun.write(`${engine.daemon.dataRoot}/snapshots/stray/x`, "");
    const found = await bosun("system", "fsck");
    expect([found.code, found.stdout]).toEqual([1, "snapshot stray: no container has it\n1 found, 1 left\n"]);
    expect(await ok("system", "fsck", "--repair")).toBe(
      "snapshot stray: no container has it → removed\n1 found, 0 left",
    );
    expect((await bosun("image", "paint")).stderr).toContain("unknown command: bosun image paint");
  });
});
