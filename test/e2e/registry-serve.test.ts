/** This engine as a registry: judged by the docker command, by skopeo, and by another engine that pulls from it. */

import { describe, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { copyFile, mkdir } from "node:fs/promises";
import { imageOf, indexOf } from "../../bench/fixture/image.ts";
import { FakeRegistry } from "../fake/registry.ts";
import { dockerArchive } from "../support/archive.ts";
import { makeCertificate } from "../support/authority.ts";
import { busyboxImage } from "../support/busybox.ts";
import { TestDaemon } from "../support/daemon.ts";
import { e2e } from "../support/e2e.ts";
import { ServedRegistry } from "../support/served.ts";

const skopeo = Bun.which("skopeo");

e2e("registry serve", (engine) => {
  const { docker, ok, dockerWith } = engine;
  const serve = (...flags: readonly string[]) => ServedRegistry.start(engine.daemon.env, ...flags);

  const run = async (...command: readonly string[]) => {
    const child = Bun.spawn([...command], { env: engine.daemon.env, stdin: "ignore", stdout: "pipe", stderr: "pipe" });
    const [stdout, stderr, code] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
    if (code !== 0) throw new Error(`${command.join(" ")}: exit code ${code}: ${stderr || stdout}`);
    return stdout;
  };

  test("another engine pulls an image that was never pushed, runs it, and pushes it back", async () => {
    await using registry = await serve();
    await using other = await TestDaemon.start();
    const beside = async (...args: readonly string[]) => dockerWith({ env: other.env }, ...args);
    const name = `${registry.host}/busybox:latest`;
    const pulled = await beside("pull", name);
    expect(pulled.stderr).toBe("");
    const digest = /^Digest: (sha256:\S+)$/m.exec(pulled.stdout)?.[1];
    const id = await ok("image", "inspect", "--format", "{{.Id}}", "busybox");
    expect((await beside("image", "inspect", "--format", "{{.Id}}", name)).stdout.trim()).toBe(id);
    const ran = await beside("run", "--rm", "--network", "none", name, "echo", "far away");
    expect([ran.stdout, ran.stderr]).toEqual(["far away\n", ""]);
    // Asked again, it is the same.
    expect((await beside("pull", name)).stdout).toContain(`Digest: ${digest}`);
    await beside("tag", name, `${registry.host}/team/back:v1`);
    const pushed = await beside("push", `${registry.host}/team/back:v1`);
    expect(pushed.stdout).toContain(`v1: digest: ${digest} `);
    expect(pushed.stdout).toMatch(/: (Mounted from busybox|Layer already exists)$/m);
    expect(await ok("image", "inspect", "--format", "{{.Id}}", "team/back:v1")).toBe(id);
    await beside("rmi", "-f", name, `${registry.host}/team/back:v1`);
  });

  test("what is pushed is a local image as soon as the push is over, and keeps its digest", async () => {
    await using registry = await serve();
    await using source = await FakeRegistry.start();
    const image = busyboxImage("of the registry");
    source.push("box", "v1", image);
    await ok("pull", "-q", `${source.host}/box:v1`);
    await ok("tag", `${source.host}/box:v1`, `${registry.host}/fresh/box:v1`);
    const { digest } = image.manifest.descriptor;
    expect(await ok("push", `${registry.host}/fresh/box:v1`)).toContain(`v1: digest: ${digest} `);
    expect(await ok("run", "--rm", "--network", "none", "fresh/box:v1", "echo", "here")).toBe("here");
    expect(await ok("image", "inspect", "--format", "{{json .RepoDigests}}", "fresh/box:v1")).toContain(
      `fresh/box@${digest}`,
    );
  });

  test("login is asked for where there are users, and nothing is written where it is read-only", async () => {
    const users = engine.daemon.path("htpasswd");
    await Bun.write(users, `ann:${await Bun.password.hash("s:cret", { algorithm: "bcrypt", cost: 4 })}\n`);
    await using guarded = await serve("--htpasswd", users);
    expect((await docker("pull", `${guarded.host}/busybox`)).stderr).toContain("no basic auth credentials");
    const login = (password: string) =>
      dockerWith({ stdin: password }, "login", "-u", "ann", "--password-stdin", guarded.host);
    expect((await login("wrong")).code).toBe(1);
    expect((await login("s:cret")).stdout).toContain("Login Succeeded");
    await ok("pull", "-q", `${guarded.host}/busybox`);
    await ok("logout", guarded.host);
    await using still = await serve("--read-only");
    await ok("tag", "busybox", `${still.host}/new:v1`);
    expect((await docker("push", `${still.host}/new:v1`)).stderr).toContain("this registry is read-only");
    expect((await fetch(`http://${still.host}/v1.43/info`)).status).toBe(404); // the engine itself is not there
    expect((await fetch(`http://${still.host}/v2/../info`)).status).toBe(404);
  });

  describe.skipIf(!skopeo)("with skopeo", () => {
    const tool = (...args: readonly string[]) => run(skopeo ?? "skopeo", "--insecure-policy", ...args);

    test("TLS is spoken with whoever trusts its certificate, in both directions", async () => {
      const [{ path: folder }, trusted] = [engine.daemon.folder, engine.daemon.path("trusted")];
      const authority = await makeCertificate(folder, "authority");
      const { cert, key } = await makeCertificate(folder, "served", ["IP:127.0.0.1"], authority);
      await mkdir(trusted);
      await copyFile(authority.cert, engine.daemon.path("trusted/ca.crt"));
      await using registry = await serve("--tls-cert", cert, "--tls-key", key);
      const image = imageOf({ layers: [[{ name: "large", content: randomBytes(8 << 20) }]] }); // more than a pipe or two
      const archive = engine.daemon.path("large.tar");
      await Bun.write(archive, dockerArchive([{ image, tags: ["large:1"] }]));
      const target = `docker://${registry.host}/large:1`;
      await expect(tool("copy", `docker-archive:${archive}`, target)).rejects.toThrow("unknown authority");
      await tool("copy", `--dest-cert-dir=${trusted}`, `docker-archive:${archive}`, target);
      expect(await ok("image", "inspect", "--format", "{{.Id}}", "large:1")).toBe(image.config.descriptor.digest);
      await mkdir(engine.daemon.path("back"));
      await tool("copy", `--src-cert-dir=${trusted}`, target, `dir:${engine.daemon.path("back")}`);
      await ok("pull", "-q", `${registry.host}/large:1`); // loopback may show any certificate
    });

    test("copies go in and out by digest, in every form, indexes whole", async () => {
      await using registry = await serve();
      await using source = await FakeRegistry.start();
      for (const [tag, options] of [
        ["docker", { docker: true }],
        ["oci", {}],
        ["zstd", { compression: "zstd" }],
        ["plain", { compression: "none" }],
      ] as const) {
        const image = imageOf({ layers: [[{ name: tag, content: tag }], [{ name: "b", content: "b" }]], ...options });
        source.push("app", tag, image);
        const copy = ["copy", "--src-tls-verify=false", "--dest-tls-verify=false", "--preserve-digests"];
        await tool(...copy, `docker://${source.host}/app:${tag}`, `docker://${registry.host}/app:${tag}`);
        const { digest } = image.manifest.descriptor;
        const shown = await tool("inspect", "--tls-verify=false", `docker://${registry.host}/app:${tag}`);
        expect(JSON.parse(shown)).toMatchObject({
          Digest: digest,
          Layers: image.layers.map(({ descriptor }) => descriptor.digest),
        });
        expect(await ok("image", "inspect", "--format", "{{.Id}}", `app:${tag}`)).toBe(image.config.descriptor.digest);
        const folder = engine.daemon.path(`out-${tag}`);
        await mkdir(folder);
        await tool("copy", "--src-tls-verify=false", `docker://${registry.host}/app@${digest}`, `dir:${folder}`);
      }
      const [amd64, arm64] = (["amd64", "arm64"] as const).map((architecture) =>
        imageOf({ layers: [[{ name: architecture, content: "x" }]], platform: { architecture } }),
      );
      if (!amd64 || !arm64) throw new Error("no image");
      const index = indexOf([
        { image: amd64, platform: { os: "linux", architecture: "amd64" } },
        { image: arm64, platform: { os: "linux", architecture: "arm64" } },
      ]);
      for (const image of [amd64, arm64]) source.push("multi", image.config.descriptor.digest.slice(7, 19), image);
      source.pushDocument("multi", "v1", index);
      await tool(
        ...["copy", "--all", "--src-tls-verify=false", "--dest-tls-verify=false"],
        ...[`docker://${source.host}/multi:v1`, `docker://${registry.host}/multi:v1`],
      );
      const raw = await tool("inspect", "--raw", "--tls-verify=false", `docker://${registry.host}/multi:v1`);
      expect(raw).toBe(Buffer.from(index.bytes).toString());
      const tags = await tool("list-tags", "--tls-verify=false", `docker://${registry.host}/app`);
      expect(JSON.parse(tags).Tags).toEqual(["docker", "oci", "plain", "zstd"]);
      await tool("delete", "--tls-verify=false", `docker://${registry.host}/app:oci`);
      expect((await docker("image", "inspect", "app:oci")).code).toBe(1);
    });
  });
});
