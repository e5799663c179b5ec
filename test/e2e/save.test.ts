/** Archives of images with the real CLI, read and written by skopeo and GNU tar, too. */

import { expect, test } from "bun:test";
import { DockerRegistry, hasDockerRegistry } from "../../bench/fixture/registry.ts";
import { multiPlatform } from "../support/busybox.ts";
import { e2e } from "../support/e2e.ts";

const skopeo = Bun.which("skopeo", { PATH: `${process.env.PATH}:/usr/bin` });

async function run(...command: readonly string[]): Promise<string> {
  const child = Bun.spawn([...command], { stdin: "ignore", stdout: "pipe", stderr: "pipe" });
  const [stdout, stderr, code] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
  if (code !== 0) throw new Error(`${command.join(" ")}: exit code ${code}: ${stderr}`);
  return stdout;
}

const inSkopeo = (...words: readonly string[]) => run(skopeo ?? "skopeo", "--insecure-policy", ...words);

e2e("archives", (engine) => {
  const { ok, docker } = engine;
  const idOf = (name: string) => ok("image", "inspect", "--format", "{{.Id}}", name);

  test("save, rmi and load give the same image back, and save the same archive", async () => {
    const [first, second] = [engine.daemon.path("first.tar"), engine.daemon.path("second.tar")];
    await ok("tag", "busybox", "round:1");
    const id = await idOf("round:1");
    await ok("save", "-o", first, "round:1", "opinionated:1");
    await ok("rmi", "round:1", "busybox", "opinionated:1");
    expect((await docker("image", "inspect", id)).code).toBe(1);
    const loaded = await ok("load", "-i", first);
    expect(loaded.split("\n")).toEqual(["Loaded image: round:1", "Loaded image: opinionated:1"]);
    expect(await idOf("round:1")).toBe(id);
    await ok("tag", "round:1", "busybox");
    await ok("save", "-o", second, "round:1", "opinionated:1");
    expect(await Bun.file(second).bytes()).toEqual(await Bun.file(first).bytes());
    expect(await ok("run", "--rm", "--network", "none", "round:1", "cat", "/etc/motd")).toBe("of the image");
  });

  test("save writes to standard output what GNU tar lists, owned by root and of 1970", async () => {
    const path = engine.daemon.path("listed.tar");
    await ok("save", "-o", path, "busybox");
    const lines = (await run("tar", "-tvf", path, "--numeric-owner", "--utc")).trimEnd().split("\n");
    const names = lines.map((line) => line.split(" ").at(-1) ?? "");
    expect(names.slice(-3)).toEqual(["index.json", "manifest.json", "oci-layout"]);
    expect(names.slice(0, -3).every((name) => /^blobs\/sha256\/[0-9a-f]{64}$/.test(name))).toBe(true);
    expect(lines.every((line) => line.startsWith("-rw-r--r-- 0/0 ") && line.includes("1970-01-01 00:00"))).toBe(true);
  });

  test("save of what is not there says so, and leaves no file", async () => {
    const { code, stderr } = await docker("save", "-o", engine.daemon.path("none.tar"), "busybox", "nothing:1");
    expect([code, stderr]).toEqual([1, expect.stringContaining("No such image: nothing:1")]);
  });

  test.if(skopeo !== null)("skopeo reads a saved archive in both of its forms", async () => {
    const path = engine.daemon.path("read.tar");
    await ok("save", "-o", path, "busybox", "opinionated:1");
    const id = await idOf("opinionated:1");
    const folder = engine.daemon.path("dir");
    await inSkopeo("copy", `docker-archive:${path}:opinionated:1`, `dir:${folder}`);
    expect((await Bun.file(`${folder}/manifest.json`).json()).config.digest).toBe(id);
    const config = JSON.parse(await inSkopeo("inspect", "--config", `oci-archive:${path}:1`));
    expect(config.config.User).toBe("bob");
  });

  test.if(skopeo !== null)("load reads what skopeo writes, in both forms", async () => {
    const path = engine.daemon.path("source.tar");
    await ok("save", "-o", path, "busybox");
    const layers = (name: string) => ok("image", "inspect", "--format", "{{.RootFS.Layers}}", name);
    for (const form of ["docker-archive", "oci-archive"]) {
      const copy = engine.daemon.path(`${form}.tar`);
      await inSkopeo("copy", `docker-archive:${path}`, `${form}:${copy}:from/skopeo:${form}`);
      expect(await ok("load", "-i", copy)).toBe(`Loaded image: from/skopeo:${form}`);
      expect(await layers(`from/skopeo:${form}`)).toBe(await layers("busybox")); // its oci-archive gets a configuration of its own
      await ok("rmi", `from/skopeo:${form}`);
    }
  });

  test.if(hasDockerRegistry)("what was pulled is saved as it came, and both platforms of a name together", async () => {
    await using registry = await DockerRegistry.start();
    const { index, host, foreign } = await multiPlatform(registry, "multi", "1");
    const name = `${registry.host}/multi:1`;
    await ok("pull", "-q", name);
    await ok("pull", "-q", "--platform", "linux/s390x", name);
    expect(await idOf(name)).toBe(host.config.descriptor.digest);
    const both = engine.daemon.path("both.tar");
    await ok("save", "-o", both, name);
    const names = await run("tar", "-tf", both);
    for (const { descriptor } of [host.manifest, foreign.manifest, ...host.layers, ...foreign.layers])
      expect(names).toContain(descriptor.digest.slice(7));
    expect(names).toContain(index.descriptor.digest.slice(7));
    if (skopeo)
      expect(JSON.parse(await inSkopeo("inspect", "--raw", `oci-archive:${both}:1`)).manifests).toHaveLength(2);
    const one = engine.daemon.path("one.tar");
    await ok("save", "--platform", "linux/s390x", "-o", one, name);
    expect(await run("tar", "-tf", one)).not.toContain(host.manifest.descriptor.digest.slice(7));
    await ok("rmi", name);
    expect(await ok("load", "-i", both)).toBe(`Loaded image: ${name}`);
    expect(await idOf(name)).toBe(host.config.descriptor.digest);
    const digests = await ok("image", "inspect", "--format", "{{json .RepoDigests}}", name);
    expect(JSON.parse(digests)).toEqual([`${registry.host}/multi@${index.descriptor.digest}`]);
    const wanted = await ok("image", "inspect", "--platform", "linux/s390x", "--format", "{{.Id}}", name);
    expect(wanted).toBe(foreign.config.descriptor.digest);
    const missing = await docker("save", "--platform", "linux/mips64le", "-o", one, name);
    expect(missing.stderr).toContain("does not provide the specified platform (linux/mips64le)");
    await ok("rmi", name);
  });

  test("load shows how far each layer is in a terminal, and is silent when asked", async () => {
    const path = engine.daemon.path("shown.tar");
    await ok("save", "-o", path, "busybox");
    await ok("rmi", "-f", "busybox", "round:1", "opinionated:1");
    await using session = engine.session({ terminal: { rows: 24, columns: 120 } }, "load", "-i", path);
    expect(await session.exited).toBe(0);
    expect(session.output).toContain("Loading layer");
    expect(session.output).toContain("Loaded image: busybox:latest");
    expect(await ok("load", "-q", "-i", path)).toBe("Loaded image: busybox:latest");
  });
});
