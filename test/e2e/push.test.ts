/** To a registry and back with the real CLI: log in, push, pull, search. The registries are not ours, where they can be. */

import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { imageOf } from "../../bench/fixture/image.ts";
import { DockerRegistry, hasDockerRegistry } from "../../bench/fixture/registry.ts";
import { FakeRegistry } from "../fake/registry.ts";
import { e2e } from "../support/e2e.ts";

const PROGRAM = new URL("../../src/main.ts", import.meta.url).pathname;
const secret = { username: "ann", password: "s:cret" };

e2e("pushing", (engine) => {
  const { docker, ok, dockerWith } = engine;

  /** Our own client, in the environment of the docker command. */
  const bosun = async (stdin: string, ...args: readonly string[]) => {
    const child = Bun.spawn([process.execPath, PROGRAM, ...args], {
      env: engine.daemon.env,
      stdin: Buffer.from(stdin),
      stdout: "pipe",
      stderr: "pipe",
    });
    const [stdout, stderr, code] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
    return { code, stdout, stderr };
  };
  const configFile = () => JSON.parse(readFileSync(engine.daemon.path("docker-config/config.json"), "utf8"));

  describe.skipIf(!hasDockerRegistry)("with docker-registry", () => {
    test("push sends an image once, and pull brings the same one back", async () => {
      await using registry = await DockerRegistry.start();
      const name = `${registry.host}/team/box:v1`;
      const id = await ok("image", "inspect", "--format", "{{.Id}}", "busybox");
      await ok("tag", "busybox", name);
      const first = await ok("push", name);
      expect(first).toStartWith(`The push refers to repository [${registry.host}/team/box]\n`);
      expect(first).toMatch(/^[0-9a-f]{12}: Pushed$/m);
      const digest = /^v1: digest: (sha256:[0-9a-f]{64}) size: \d+$/m.exec(first)?.[1];
      expect(digest).toBeDefined();
      const second = await ok("push", name);
      expect(second).toMatch(/^[0-9a-f]{12}: Layer already exists$/m);
      expect(second).not.toContain(": Pushed");
      expect(second).toContain(`v1: digest: ${digest} size: `);
      await ok("rmi", name);
      await ok("tag", "busybox", `${registry.host}/other/box:v1`);
      expect(await ok("push", "-q", `${registry.host}/other/box:v1`)).toBe(`${registry.host}/other/box:v1`);
      await ok("rmi", "busybox", `${registry.host}/other/box:v1`);
      expect(await ok("pull", name)).toContain(`Digest: ${digest}`);
      expect(await ok("image", "inspect", "--format", "{{.Id}}", name)).toBe(id);
      await ok("tag", name, "busybox");
      expect(await ok("run", "--rm", "--network", "none", name, "echo", "back")).toBe("back");
      expect(JSON.parse(await ok("manifest", "inspect", "--insecure", name))).toMatchObject({
        schemaVersion: 2,
        config: { digest: id },
      });
    });

    test("an image keeps its digest from one registry to another, and is mounted within one", async () => {
      await using one = await DockerRegistry.start();
      await using other = await DockerRegistry.start();
      const image = imageOf({ layers: [[{ name: "a", content: "a" }], [{ name: "b", content: "b" }]] });
      await one.push("app", "v1", image);
      const { digest } = image.manifest.descriptor;
      await ok("pull", "-q", `${one.host}/app:v1`);
      for (const name of [`${other.host}/copy:v1`, `${one.host}/mounted:v1`]) {
        await ok("tag", `${one.host}/app:v1`, name);
        expect(await ok("push", name)).toContain(`v1: digest: ${digest} `);
      }
      expect(await ok("push", `${one.host}/mounted:v1`)).toContain(`v1: digest: ${digest} `);
      await ok("tag", `${one.host}/app:v1`, `${one.host}/again:v1`);
      const mounted = await ok("push", `${one.host}/again:v1`);
      expect(mounted.match(/: Mounted from (app|mounted)$/gm)).toHaveLength(2);
      await ok("tag", `${one.host}/app:v1`, `${one.host}/again:v2`);
      const all = await ok("push", "-a", `${one.host}/again`);
      expect(all).toContain(`v1: digest: ${digest} `);
      expect(all).toContain(`v2: digest: ${digest} `);
    });

    test("what is not there, or not allowed, is said in Docker's words", async () => {
      await using registry = await DockerRegistry.start(secret);
      const name = `${registry.host}/app:v1`;
      expect((await docker("push", name)).stderr).toContain(
        `An image does not exist locally with the tag: ${registry.host}/app`,
      );
      await ok("tag", "busybox", name);
      expect((await docker("push", `${registry.host}/app:v2`)).stderr).toContain(
        `tag does not exist: ${registry.host}/app:v2`,
      );
      const { code, stderr } = await docker("push", name);
      expect([code, stderr.trim()]).toEqual([1, expect.stringContaining("no basic auth credentials")]);
    });

    test("login keeps credentials that push and pull then use; logout forgets them", async () => {
      await using registry = await DockerRegistry.start(secret);
      const { host } = registry;
      const login = (password: string) =>
        dockerWith({ stdin: password }, "login", "-u", secret.username, "--password-stdin", host);
      const refused = await login("wrong");
      expect(refused.code).toBe(1);
      expect(refused.stderr).toContain(`login attempt to http://${host}/v2/ failed with status: 401 Unauthorized`);
      expect((await login(secret.password)).stdout).toContain("Login Succeeded");
      await ok("tag", "busybox", `${host}/app:v1`);
      expect(await ok("push", `${host}/app:v1`)).toContain("v1: digest: ");
      await ok("rmi", `${host}/app:v1`);
      await ok("pull", "-q", `${host}/app:v1`);
      // Our own client reads what docker's has kept, and the other way round.
      expect((await bosun("", "push", `${host}/app:v1`)).stdout).toMatch(/: Layer already exists\n/);
      expect((await bosun("", "pull", "-q", `${host}/app:v1`)).code).toBe(0);
      expect((await bosun("", "logout", host)).stdout).toBe(`Removing login credentials for ${host}\n`);
      expect(configFile().auths).toEqual({});
      expect((await docker("push", `${host}/app:v1`)).stderr).toContain("no basic auth credentials");
      const own = await bosun(secret.password, "login", "-u", secret.username, "--password-stdin", host);
      expect(own.stdout).toBe("Login Succeeded\n");
      expect(own.stderr).toContain("Your credentials are stored unencrypted in");
      expect(await ok("push", "-q", `${host}/app:v1`)).toBe(`${host}/app:v1`);
      await ok("logout", host);
    });
  });

  test("login with a token server keeps its identity token, which push exchanges", async () => {
    await using registry = await FakeRegistry.start();
    const forms: string[] = [];
    registry.misbehave = (request, response) => {
      if (request.url?.startsWith("/token")) {
        const isRight = request.headers.authorization === `Basic ${btoa("ann:s:cret")}`;
        if (request.method === "POST")
          request
            .on("data", (chunk: Buffer) => forms.push(chunk.toString()))
            .on("end", () => response.end('{"access_token":"good"}'));
        else if (isRight) response.end('{"token":"good","refresh_token":"keep"}');
        else response.writeHead(401).end();
        return true;
      }
      if (request.headers.authorization === "Bearer good") return false;
      const realm = `Bearer realm="http://${registry.host}/token",service="fake"`;
      response.writeHead(401, { "www-authenticate": realm }).end();
      return true;
    };
    const { host } = registry;
    const refused = await dockerWith({ stdin: "no" }, "login", "-u", "ann", "--password-stdin", host);
    expect(refused.stderr).toContain("unauthorized: incorrect username or password");
    const { stdout } = await dockerWith({ stdin: "s:cret" }, "login", "-u", "ann", "--password-stdin", host);
    expect(stdout).toContain("Login Succeeded");
    expect(configFile().auths[host]).toMatchObject({ identitytoken: "keep" });
    await ok("tag", "busybox", `${host}/app:v1`);
    expect(await ok("push", `${host}/app:v1`)).toContain("v1: digest: ");
    expect(forms.at(-1)).toContain("refresh_token=keep");
    expect(forms.at(-1)).toContain("scope=repository%3Aapp%3Apull%2Cpush");
    await ok("logout", host);
  });

  test("search asks the registry that the term names", async () => {
    await using registry = await FakeRegistry.start();
    const results = [
      { name: "team/one", description: "the first\nof all", star_count: 3, is_official: true, is_automated: false },
      { name: "team/two", description: "", star_count: 9, is_official: false, is_automated: false },
    ];
    registry.misbehave = (request, response) => {
      if (!request.url?.startsWith("/v1/search")) return false;
      response.end(JSON.stringify({ num_results: 2, query: "x", results }));
      return true;
    };
    const rows = (text: string) => text.split("\n").map((line) => line.split(/ {2,}/));
    const expected = ["team/one", "the first of all", "3", "[OK]"];
    expect(rows(await ok("search", `${registry.host}/te`))[1]?.slice(0, 4)).toEqual(expected);
    expect(rows((await bosun("", "search", `${registry.host}/te`)).stdout)[1]).toEqual(expected);
    expect(await ok("search", "--filter", "stars=5", "--format", "{{.Name}}", `${registry.host}/te`)).toBe("team/two");
    expect(await ok("search", "--filter", "is-official=true", "--format", "{{.Name}}", `${registry.host}/te`)).toBe(
      "team/one",
    );
    const asked = registry.asked("/v1/search").map(({ path }) => path);
    expect(asked[0]).toBe("/v1/search?q=te&n=25");
    expect((await docker("search", "--limit", "101", `${registry.host}/te`)).stderr).toContain(
      "outside the range of [1, 100]",
    );
  });
});
