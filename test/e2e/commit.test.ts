/** Images made of containers and of tars, and containers as tars, with the real CLI; GNU tar lists what is in them. */

import { expect, test } from "bun:test";
import { gzipSync } from "node:zlib";
import { e2e } from "../support/e2e.ts";

const listing = async (path: string): Promise<readonly string[]> => {
  const child = Bun.spawn(["tar", "-tvf", path, "--numeric-owner", "--utc", "--full-time"], { stdout: "pipe" });
  return (await child.stdout.text()).trimEnd().split("\n").toSorted();
};

e2e("commit, import and export", (engine) => {
  const { docker, ok, sh } = engine;
  const inspect = async (name: string) => JSON.parse(await ok("image", "inspect", name))[0];

  test("commit keeps what a container has changed, and tells how it came about", async () => {
    const script =
      "echo kept > /kept; rm /etc/motd; mkdir -p /data/deep; chown 1000:1001 /data/deep; ln -s /kept /link";
    const id = await ok("create", "--network", "none", "-e", "ADDED=1", "-l", "by=run", "busybox", "sh", "-c", script);
    await ok("start", "-a", id);
    const image = await ok("commit", "-m", "a message", "-a", "An Author", id, "committed:1");
    expect(image).toMatch(/^sha256:[0-9a-f]{64}$/);
    const check = "cat /kept /link; ls /etc/motd 2>&1 | head -1; stat -c %u:%g /data/deep; echo $ADDED";
    expect(await ok("run", "--rm", "--network", "none", "committed:1", "sh", "-c", check)).toBe(
      "kept\nkept\nls: /etc/motd: No such file or directory\n1000:1001\n1",
    );
    expect(await inspect("committed:1")).toMatchObject({
      Id: image,
      Author: "An Author",
      Comment: "a message",
      Config: { Cmd: ["sh", "-c", script], Labels: { by: "run" } },
    });
    expect(await engine.daemon.json("/v1.44/images/committed:1/json")).toMatchObject({
      Container: id,
      ContainerConfig: {
        Image: "busybox",
        Hostname: id.slice(0, 12),
        Cmd: ["sh", "-c", script],
        Labels: { by: "run" },
      },
      Config: { Image: "", Hostname: "" },
    });
    const history = await ok("history", "--no-trunc", "--format", "{{.CreatedBy}}|{{.Comment}}", "committed:1");
    expect(history.split("\n")[0]).toBe(`sh -c ${script}|a message`);
    expect((await ok("diff", id)).split("\n").toSorted()).toEqual(
      ["A /data", "A /data/deep", "A /kept", "A /link", "C /etc", "D /etc/motd"].toSorted(),
    );
    await ok("rm", id);
  });

  test("commit of a container that changed nothing adds no layer", async () => {
    const id = await engine.sleeper();
    await ok("commit", id, "unchanged:1");
    const [image, base] = [await inspect("unchanged:1"), await inspect("busybox")];
    expect(image.RootFS.Layers).toEqual(base.RootFS.Layers);
    expect(image.Id).not.toBe(base.Id);
    await ok("rm", "-f", id);
    await ok("rmi", "unchanged:1");
  });

  test("commit keeps a container whose image was removed by force", async () => {
    const base = await ok("commit", await ok("create", "--network", "none", "busybox", "true"), "base:1");
    const run = ["--network", "none", "-e", "ADDED=1", "base:1", "sh", "-c", "echo kept > /kept"];
    const id = await ok("create", ...run);
    await ok("start", "-a", id);
    await ok("rmi", "-f", base);
    expect((await docker("image", "inspect", base)).code).not.toBe(0);
    expect(await ok("inspect", "-f", "{{.Image}}", id)).toBe(base);
    await ok("commit", id, "rescued:1");
    expect(await ok("run", "--rm", "--network", "none", "rescued:1", "sh", "-c", "cat /kept; echo $ADDED")).toBe(
      "kept\n1",
    );
    const layers = (await inspect("rescued:1")).RootFS.Layers.length;
    expect((await ok("history", "-q", "rescued:1")).split("\n")).toHaveLength(layers);
  });

  test("commit applies instructions, in the container's environment", async () => {
    const id = await ok("create", "--network", "none", "opinionated:1");
    const changes = [
      'CMD ["new"]',
      "ENV PLACE=commit:$PLACE MORE='a b'",
      "LABEL x=y",
      "EXPOSE 443",
      "USER root",
      "WORKDIR sub",
    ];
    await ok("commit", ...changes.flatMap((change) => ["-c", change]), id, "changed:1");
    expect((await inspect("changed:1")).Config).toMatchObject({
      Entrypoint: ["/bin/echo", "entry"],
      Cmd: ["new"],
      Env: expect.arrayContaining(["PLACE=commit:image", "MORE=a b", "GREETING=hello"]),
      Labels: { x: "y", "org.example.kind": "opinionated" },
      ExposedPorts: { "80/tcp": {}, "443/tcp": {} },
      User: "root",
      WorkingDir: "/srv/sub",
    });
    const refused = await docker("commit", "-c", "RUN true", id);
    expect([refused.code, refused.stderr]).toEqual([1, expect.stringContaining("RUN is not a valid change command")]);
    await ok("rm", id);
    await ok("rmi", "changed:1");
  });

  test("commit of a running container holds it still meanwhile, and lets it go on", async () => {
    const id = await ok("run", "-d", "--network", "none", "busybox", "sh", "-c", "while :; do echo x >> /log; done");
    await ok("commit", id, "live:1");
    await ok("commit", "--pause=false", id, "live:2");
    const size = () => ok("exec", id, "stat", "-c", "%s", "/log");
    const before = Number(await size());
    for (let now = before; now <= before; ) now = Number(await size()); // it does go on
    await ok("rm", "-f", id);
    await ok("rmi", "live:1", "live:2");
    expect((await docker("commit", "nobody")).stderr).toContain("No such container: nobody");
  });

  test("what every container has for the engine's sake is none of its changes, and among what is exported", async () => {
    const [id, tar] = [await ok("create", "--network", "none", "bosun/hello"), engine.daemon.path("hello.tar")];
    const names = async () => {
      await ok("export", "-o", tar, id);
      return (await listing(tar)).map((line) => line.split(" ").at(-1)).toSorted();
    };
    const all = [".dockerenv", "dev/", "etc/", ...["hostname", "hosts", "resolv.conf"].map((name) => `etc/${name}`)];
    const wanted = [...all, "hello", "proc/", "sys/"];
    expect(await names()).toEqual(wanted);
    await ok("start", "-a", id);
    expect(await names()).toEqual(wanted);
    expect(await ok("diff", id)).toBe("");
    await ok("rm", id);
    const script = "test -f /.dockerenv && rm /.dockerenv && test ! -e /.dockerenv";
    const other = await ok("run", "-d", "--network", "none", "busybox", "sh", "-c", script);
    expect(await ok("wait", other)).toBe("0");
    expect(await ok("diff", other)).toBe("");
    await ok("rm", other);
  });

  test("export and import give the same tree, as GNU tar lists it", async () => {
    const id = await ok("create", "--network", "none", "busybox", "sh", "-c", "echo mine > /root/mine");
    await ok("start", "-a", id);
    const [first, second] = [engine.daemon.path("first.tar"), engine.daemon.path("second.tar")];
    await ok("export", "-o", first, id);
    await ok("rm", id);
    const imported = await ok("import", "-c", 'ENTRYPOINT ["cat"]', "-m", "from a tar", first, "imported:1");
    expect(await inspect("imported:1")).toMatchObject({
      Id: imported,
      Comment: "from a tar",
      Config: { Entrypoint: ["cat"] },
      Architecture: process.arch === "arm64" ? "arm64" : "amd64",
    });
    expect(await ok("run", "--rm", "--network", "none", "imported:1", "/root/mine")).toBe("mine");
    const again = await ok("create", "--network", "none", "imported:1", "/root/mine");
    await ok("export", "-o", second, again);
    await ok("rm", again);
    expect(await listing(second)).toEqual(await listing(first));
    await ok("rmi", "imported:1");
  });

  test("import takes a compressed tar from standard input, for another platform when asked", async () => {
    const tar = gzipSync(await new Response(Bun.spawn(["tar", "-C", "/etc", "-cf", "-", "hostname"]).stdout).bytes());
    const { stdout, code } = await engine.dockerWith(
      { stdin: tar },
      "import",
      "--platform",
      "linux/arm64",
      "-",
      "arm:1",
    );
    expect([code, stdout]).toEqual([0, expect.stringMatching(/^sha256:[0-9a-f]{64}\n$/)]);
    expect((await inspect("arm:1")).Architecture).toBe("arm64");
    const broken = await engine.dockerWith({ stdin: "no tar at all" }, "import", "-");
    expect([broken.code, broken.stderr]).toEqual([1, expect.stringContaining("Cannot read tar")]);
    await ok("rmi", "arm:1");
  });

  test("import downloads from a URL", async () => {
    const tar = await new Response(Bun.spawn(["tar", "-C", "/etc", "-cf", "-", "hostname"]).stdout).bytes();
    using server = Bun.serve({
      port: 0,
      hostname: "127.0.0.1",
      fetch: (request) =>
        new URL(request.url).pathname === "/a.tar" ? new Response(tar) : new Response("no", { status: 404 }),
    });
    const output = await ok("import", `http://127.0.0.1:${server.port}/a.tar`, "url:1");
    expect(output).toContain("Downloading from http://127.0.0.1");
    expect(await ok("image", "inspect", "--format", "{{len .RootFS.Layers}}", "url:1")).toBe("1");
    expect((await docker("import", `http://127.0.0.1:${server.port}/none`)).stderr).toContain("status 404");
    await ok("rmi", "url:1");
    expect(await sh("true")).toBe("");
  });
});
