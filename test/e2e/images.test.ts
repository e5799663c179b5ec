/** Images with the real CLI: from a real registry and from archives, listed, named, removed. */

import { expect, test } from "bun:test";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { imageOf, indexOf, type TestImage } from "../../bench/fixture/image.ts";
import { DockerRegistry, hasDockerRegistry } from "../../bench/fixture/registry.ts";
import { dockerArchive } from "../support/archive.ts";
import { busyboxImage } from "../support/busybox.ts";
import { e2e } from "../support/e2e.ts";

const ARCHITECTURE = process.arch === "arm64" ? "arm64" : "amd64";
const layersOf = (...names: string[]) => names.map((name) => [{ name, content: `${name}\n` }]);

e2e("images", (engine) => {
  const { docker, ok } = engine;

  test("images lists what was loaded, with the built-in one", async () => {
    const lines = (await ok("images", "--format", "{{.Repository}}:{{.Tag}}")).split("\n");
    expect(lines.toSorted()).toEqual(["bosun/hello:latest", "busybox:latest", "opinionated:1"]);
  });

  test("load takes a docker-archive from a file or from standard input, plain or compressed", async () => {
    const path = engine.daemon.path("archive.tar");
    const archive = (tag: string) =>
      dockerArchive([{ image: imageOf({ layers: layersOf(tag) }), tags: [`loaded:${tag}`] }]);
    await Bun.write(path, archive("file"));
    expect(await ok("load", "-i", path)).toBe("Loaded image: loaded:file");
    const piped = await engine.dockerWith({ stdin: archive("stdin") }, "load");
    expect(piped.stdout).toContain("Loaded image: loaded:stdin");
    const zipped = await engine.dockerWith({ stdin: gzipSync(archive("gzip")) }, "load", "-q");
    expect(zipped.stdout).toContain("Loaded image: loaded:gzip");
    const broken = await engine.dockerWith({ stdin: archive("cut").subarray(0, 700) }, "load");
    expect(broken.code).toBe(1);
    expect(broken.stderr).not.toBe("");
    expect(await ok("images", "-q", "loaded:cut")).toBe("");
  });

  test("inspect and history tell the image's configuration", async () => {
    const [image] = JSON.parse(await ok("image", "inspect", "opinionated:1"));
    expect(image).toMatchObject({
      RepoTags: ["opinionated:1"],
      Os: "linux",
      Architecture: ARCHITECTURE,
      Created: "2024-05-06T07:08:09Z",
      Config: { User: "bob", WorkingDir: "/srv", Entrypoint: ["/bin/echo", "entry"], StopSignal: "SIGUSR1" },
      RootFS: { Type: "layers" },
    });
    expect(await ok("history", "--format", "{{.CreatedBy}}", "opinionated:1")).toBe("ADD busybox /");
    expect((await docker("image", "inspect", "nothing")).stderr).toContain("No such image: nothing");
  });

  test("tag gives an image another name, and rmi takes names away until the last one removes it", async () => {
    await ok("tag", "opinionated:1", "other/name:2");
    const id = await ok("image", "inspect", "--format", "{{.Id}}", "opinionated:1");
    expect(await ok("image", "inspect", "--format", "{{.Id}}", "other/name:2")).toBe(id);
    expect(await ok("rmi", "other/name:2")).toBe("Untagged: other/name:2");
    expect(await ok("image", "inspect", "--format", "{{.Id}}", id.slice(7, 19))).toBe(id);
    expect((await docker("tag", "busybox", "UPPER")).stderr).toContain("must be lowercase");
  });

  test("rmi refuses an image that a container uses, by id or by its last name", async () => {
    const container = await ok("create", "opinionated:1");
    const id = await ok("image", "inspect", "--format", "{{.Id}}", "opinionated:1");
    const { code, stderr } = await docker("rmi", "opinionated:1");
    expect(stderr).toContain(`container ${container.slice(0, 12)}`);
    expect(code).toBe(1);
    await ok("rm", container);
    expect(await ok("rmi", "opinionated:1")).toContain(`Deleted: ${id}`);
    expect(await ok("images", "-q", "opinionated")).toBe("");
    expect(await ok("run", "--rm", "--network", "none", "busybox", "echo", "works")).toBe("works"); // of the same layer
  });

  test("filters of images choose", async () => {
    await ok("tag", "busybox", "filtered:1");
    const names = async (filter: string) =>
      (await ok("images", "-f", filter, "--format", "{{.Repository}}:{{.Tag}}")).split("\n");
    expect(await names("reference=filter*")).toEqual(["filtered:1"]);
    expect(await names("label=kind=test")).not.toContain("busybox:latest");
    expect((await docker("images", "-f", "colour=red")).stderr).toContain("invalid filter 'colour'");
  });

  test.if(hasDockerRegistry)("pull from a real registry, and run", async () => {
    await using registry = await DockerRegistry.start();
    await registry.push("base/busybox", "1", busyboxImage());
    const name = `${registry.host}/base/busybox:1`;
    const output = await ok("pull", name);
    expect(output).toContain("1: Pulling from base/busybox");
    expect(output).toMatch(/^Digest: sha256:[0-9a-f]{64}$/m);
    expect(output).toContain(`Status: Downloaded newer image for ${name}`);
    expect(await ok("run", "--rm", "--network", "none", name, "cat", "/etc/motd")).toBe("of the image");
    expect(await ok("pull", name)).toContain(`Status: Image is up to date for ${name}`);
    const digest = await ok("image", "inspect", "--format", "{{index .RepoDigests 0}}", name);
    expect(digest).toStartWith(`${registry.host}/base/busybox@sha256:`);
    expect(await ok("pull", "-q", digest)).toBe(digest);
  });

  test.if(hasDockerRegistry)("run pulls what is missing", async () => {
    await using registry = await DockerRegistry.start();
    await registry.push("run/busybox", "latest", busyboxImage());
    const { code, stdout, stderr } = await docker(
      "run",
      "--rm",
      "--network",
      "none",
      `${registry.host}/run/busybox`,
      "echo",
      "pulled",
    );
    expect([code, stdout]).toEqual([0, "pulled\n"]);
    expect(stderr).toContain(`Unable to find image '${registry.host}/run/busybox:latest' locally`);
    expect(stderr).toContain("Status: Downloaded newer image for");
  });

  test.if(hasDockerRegistry)("pull of an index takes this machine's image, in every compression", async () => {
    await using registry = await DockerRegistry.start();
    const mine = { os: "linux", architecture: ARCHITECTURE };
    const other = imageOf({ layers: layersOf("other"), platform: { os: "linux", architecture: "s390x" } });
    for (const compression of ["gzip", "zstd", "none"] as const) {
      const image: TestImage = imageOf({
        layers: layersOf(`${compression}-1`, `${compression}-2`),
        platform: mine,
        compression,
      });
      for (const each of [other, image])
        await registry.push("multi", `part-${each.manifest.descriptor.digest.slice(-8)}`, each);
      const index = indexOf([
        { image: other, platform: { os: "linux", architecture: "s390x" } },
        { image, platform: mine },
      ]);
      await registry.pushDocument("multi", compression, index);
      expect(await ok("pull", `${registry.host}/multi:${compression}`)).toContain(`Digest: ${index.descriptor.digest}`);
      const id = await ok("create", `${registry.host}/multi:${compression}`);
      expect(
        await ok("image", "inspect", "--format", "{{.Architecture}}", `${registry.host}/multi:${compression}`),
      ).toBe(ARCHITECTURE);
      await ok("rm", id);
    }
    const wrong = await docker("pull", "--platform", "linux/mips64le", `${registry.host}/multi:gzip`);
    expect(wrong.code).toBe(1);
    expect(wrong.stderr).toMatch(/no (matching )?manifest|platform/i);
  });

  test.if(hasDockerRegistry)("pull shows each layer on a line of its own in a terminal", async () => {
    await using registry = await DockerRegistry.start();
    await registry.push("shown", "1", imageOf({ layers: layersOf("one", "two", "three") }));
    await using session = engine.session({ terminal: { rows: 24, columns: 120 } }, "pull", `${registry.host}/shown:1`);
    expect(await session.exited).toBe(0);
    expect(session.output.match(/[0-9a-f]{12}: /g)?.length).toBeGreaterThanOrEqual(3);
    expect(session.output).toContain("Pull complete");
  });

  test.if(hasDockerRegistry)("login and pull from a registry that asks for a password", async () => {
    const credentials = { username: "ann", password: "correct horse" };
    await using registry = await DockerRegistry.start(credentials);
    await registry.push("private/image", "1", imageOf({ layers: layersOf("private") }));
    const name = `${registry.host}/private/image:1`;
    const refused = await docker("pull", name);
    expect(refused.code).toBe(1);
    expect(refused.stderr).toMatch(/unauthorized|no basic auth credentials|authentication required/);
    await Bun.write(
      join(engine.daemon.env.DOCKER_CONFIG ?? "", "config.json"),
      JSON.stringify({ auths: { [registry.host]: { auth: btoa("ann:correct horse") } } }),
    );
    expect(await ok("pull", name)).toContain("Status: Downloaded newer image");
  });

  test.if(hasDockerRegistry)("pull of what is not there says so, and leaves nothing", async () => {
    await using registry = await DockerRegistry.start();
    await registry.push("here", "1", imageOf({ layers: layersOf("here") }));
    for (const name of ["here:2", "not/here:1"]) {
      const { code, stderr } = await docker("pull", `${registry.host}/${name}`);
      expect(code).toBe(1);
      expect(stderr).toMatch(/manifest (for .* )?(unknown|not found)|not found/);
    }
    const unfinished = readdirSync(engine.daemon.dataRoot, { recursive: true, encoding: "utf8" });
    expect(unfinished.filter((path) => /(^|\/)(new|rm)-/.test(path))).toEqual([]);
  });
});
