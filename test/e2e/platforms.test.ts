/** Several platforms under one name, with the real CLI and a real registry. */

import { expect, test } from "bun:test";
import { DockerRegistry, hasDockerRegistry } from "../../bench/fixture/registry.ts";
import { multiPlatform } from "../support/busybox.ts";
import { e2e } from "../support/e2e.ts";

e2e("platforms", (engine) => {
  const { docker, ok } = engine;
  const idOf = (name: string, ...flags: readonly string[]) =>
    ok("image", "inspect", "--format", "{{.Id}}", ...flags, name);

  test.if(hasDockerRegistry)("platforms of a name are pulled beside each other, and each is found", async () => {
    await using registry = await DockerRegistry.start();
    const { host, foreign } = await multiPlatform(registry, "both", "1");
    const name = `${registry.host}/both:1`;
    const [hostId, foreignId] = [host.config.descriptor.digest, foreign.config.descriptor.digest];
    await ok("pull", "-q", "--platform", "linux/s390x", name);
    expect(await idOf(name)).toBe(foreignId); // the only one that is here
    await ok("pull", "-q", name);
    expect(await idOf(name)).toBe(hostId);
    expect(await idOf(name, "--platform", "linux/s390x")).toBe(foreignId);
    expect((await ok("images", "-q", "--no-trunc", name)).split("\n")).toEqual([hostId]);
    expect(await ok("pull", name)).toContain("Status: Image is up to date for");
    expect(await ok("run", "--rm", "--network", "none", name, "cat", "/etc/motd")).toBe("of both:1");
    const wrong = await docker("image", "inspect", "--platform", "linux/mips64le", name);
    expect(wrong.stderr).toContain("does not provide the specified platform (linux/mips64le)");

    await ok("tag", name, "other:1");
    expect(await idOf("other:1", "--platform", "linux/s390x")).toBe(foreignId);
    expect(await ok("rmi", "--platform", "linux/s390x", "other:1")).toBe("Untagged: other:1");
    expect(await idOf("other:1")).toBe(hostId);
    expect((await docker("image", "inspect", "--platform", "linux/s390x", "other:1")).code).toBe(1);
    await ok("rmi", "other:1", name);
    for (const id of [hostId, foreignId]) expect((await docker("image", "inspect", id)).code).toBe(1);
  });

  test.if(hasDockerRegistry)("run of another platform pulls it, and fails as its program does", async () => {
    await using registry = await DockerRegistry.start();
    const { foreign } = await multiPlatform(registry, "run", "1");
    const name = `${registry.host}/run:1`;
    await ok("pull", "-q", name);
    const ran = await docker("run", "--rm", "--network", "none", "--platform", "linux/s390x", name);
    expect(ran.stderr).toContain("Unable to find image");
    expect(ran.stderr).toContain("exec format error");
    expect(ran.code).toBe(125); // told before it is started
    const id = await ok("create", "--platform", "linux/s390x", name);
    expect(await engine.inspect(id, "{{.Image}}")).toBe(foreign.config.descriptor.digest);
    await ok("rm", id);
    await ok("rmi", name);
  });

  test.if(hasDockerRegistry)("create of an image that does not run here warns, unless it was asked for", async () => {
    await using registry = await DockerRegistry.start();
    const { foreign } = await multiPlatform(registry, "warn", "1");
    const name = `${registry.host}/warn:1-foreign`;
    await ok("pull", "-q", "--platform", "linux/s390x", name);
    const { stderr } = await docker("create", "--name", "warned", name);
    expect(stderr).toContain("The requested image's platform (linux/s390x) does not match the detected host platform");
    expect((await docker("create", "--name", "silent", "--platform", "linux/s390x", name)).stderr).toBe("");
    await ok("rm", "warned", "silent");
    expect(await idOf(name)).toBe(foreign.config.descriptor.digest);
    await ok("rmi", name);
  });
});
