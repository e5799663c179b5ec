/** Volumes with the real CLI: what is in them, who sees it, and when it goes. */

import { expect, test } from "bun:test";
import { existsSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { file, folder, symlink } from "../../bench/fixture/tar.ts";
import { dockerArchive } from "../support/archive.ts";
import { bosunOf } from "../support/bosun.ts";
import { furnishedImage } from "../support/busybox.ts";
import { e2e } from "../support/e2e.ts";

e2e("volumes", (engine) => {
  const { docker, ok, sh } = engine;
  const bosun = bosunOf(engine);
  const names = async (): Promise<string[]> =>
    (await ok("volume", "ls", "-q")).split("\n").filter((name) => name !== "");

  test("the commands for volumes print what docker's do", async () => {
    expect(await ok("volume", "create", "--label", "kind=a", "first")).toBe("first");
    expect(await bosun.ok("volume", "create", "--label", "kind=b", "second")).toBe("second");
    for (const line of ["volume ls", "volume ls -q -f label=kind=a", "volume ls --format {{.Name}}|{{.Labels}}"])
      expect(await bosun.ok(...line.split(" "))).toBe(await ok(...line.split(" ")));
    expect(JSON.parse(await bosun.ok("volume", "inspect", "first"))).toEqual(
      JSON.parse(await ok("volume", "inspect", "first")),
    );
    expect(await ok("inspect", "--type", "volume", "-f", "{{.Mountpoint}}", "first")).toBe(
      join(engine.daemon.dataRoot, "volumes/first/_data"),
    );
    expect((await bosun("volume", "rm", "none")).stderr).toBe((await docker("volume", "rm", "none")).stderr);
    expect(await ok("volume", "rm", "first")).toBe("first");
    expect(await bosun.ok("volume", "rm", "second")).toBe("second");
    expect(await names()).toEqual([]);
  });

  test("what one container writes another reads, also after the first is gone", async () => {
    await sh("echo kept > /data/a", "-v", "box:/data");
    expect(await sh("cat /other/a; (echo x > /other/b) 2>&1; true", "-v", "box:/other:ro")).toContain(
      "kept\nsh: can't create /other/b: Read-only file system",
    );
    const id = await ok("create", "-v", "box:/data", "--network", "none", "busybox", "true");
    expect((await docker("volume", "rm", "-f", "box")).stderr).toBe(
      `Error response from daemon: remove box: volume is in use - [${id}]\n`,
    );
    expect(await engine.inspect(id, "{{range .Mounts}}{{.Type}} {{.Name}} {{.Driver}} {{.Mode}} {{.RW}}{{end}}")).toBe(
      "volume box local z true",
    );
    expect(await ok("ps", "-a", "--format", "{{.Mounts}}", "-f", "volume=box")).toBe("box");
    await ok("rm", "-v", id);
    await ok("volume", "rm", "box");
  });

  test("an empty volume gets the image's files, with owners, modes and links, and a full one keeps its own", async () => {
    const more = [
      folder("srv/site/", { mode: 0o2750, uid: 1000, gid: 50 }),
      file("srv/site/page", "of the image\n", { mode: 0o640, uid: 1000, gid: 1001 }),
      symlink("srv/site/out", "/etc/passwd"),
      folder("srv/site/deep/", { mode: 0o700 }),
      file("srv/site/deep/x", "x", { mode: 0o4711 }),
      symlink("srv/link", "site"),
    ];
    const image = furnishedImage(more, { Volumes: { "/srv/site": {} } });
    await engine.load(dockerArchive([{ image, tags: ["site:1"] }]));
    const run = (script: string, ...flags: readonly string[]) =>
      ok("run", "--rm", "--network", "none", ...flags, "site:1", "/bin/busybox", "sh", "-c", script);
    const look = "cd /v && stat -c '%n %a %u:%g' . page deep deep/x && readlink out && cat page";
    const judged = await run(look.replace("/v", "/srv/site"));
    expect(judged).toContain(
      ". 2750 1000:50\npage 640 1000:1001\ndeep 700 0:0\ndeep/x 4711 0:0\n/etc/passwd\nof the image",
    );
    expect(await names()).toEqual([]); // --rm has taken it along
    await run("true", "-v", "site:/srv/link");
    expect(await run(look, "-v", "site:/v")).toBe(judged);
    await run("echo mine > /srv/site/page", "-v", "site:/srv/site");
    expect(await run("cat /srv/site/page", "-v", "site:/srv/site")).toBe("mine");
    expect(await run("ls /srv/site", "-v", "bare:/srv/site:nocopy")).toBe("");
    expect(await run("ls /srv/site | wc -l", "--mount", "src=bare,dst=/srv/site,volume-nocopy")).toBe("0");
    await ok("volume", "rm", "site", "bare");
  });

  test("anonymous volumes go with rm -v and --rm, and stay otherwise until they are pruned", async () => {
    const id = await ok("create", "-v", "/data", "--network", "none", "busybox", "true");
    await ok("rm", id);
    expect((await names()).length).toBe(1);
    await bosun.ok("run", "--rm", "-v", "/data", "--network", "none", "busybox", "touch", "/data/a");
    const second = await ok("create", "-v", "/data", "--network", "none", "busybox", "true");
    await ok("rm", "-v", second);
    const left = await names();
    expect(left.length).toBe(1);
    await ok("volume", "create", "named");
    expect(await ok("volume", "prune", "-f")).toContain(`Deleted Volumes:\n${left[0]}\n`);
    expect(await names()).toEqual(["named"]);
    expect(await bosun.ok("volume", "prune", "-af")).toContain("Deleted Volumes:\nnamed\n");
  });

  test("--volumes-from a stopped container shares its mounts", async () => {
    const host = engine.daemon.path("from-host");
    mkdirSync(host);
    const owner = await ok("create", "-v", "/anon", "-v", `${host}:/host`, "--network", "none", "busybox", "true");
    await sh("echo a > /anon/a; echo b > /host/b", "--volumes-from", owner);
    expect(await sh("cat /anon/a /host/b; (echo x > /anon/x) 2>&1; true", "--volumes-from", `${owner}:ro`)).toContain(
      "a\nb\nsh: can't create /anon/x: Read-only",
    );
    expect(
      await bosun.ok("run", "--rm", "--network", "none", "--volumes-from", owner, "busybox", "cat", "/anon/a"),
    ).toBe("a");
    await ok("rm", "-v", owner);
    expect(await names()).toEqual([]);
    expect((await docker("create", "--volumes-from", "nobody", "busybox")).stderr).toContain(
      "No such container: nobody",
    );
  });

  test("--mount takes a part of a volume, and no link of it leads out", async () => {
    await sh("mkdir -p /v/a/b && echo deep > /v/a/b/f && ln -s / /v/up && ln -s a/b /v/in", "-v", "parts:/v");
    const at = (subpath: string) => ["--mount", `type=volume,src=parts,dst=/x,volume-subpath=${subpath}`];
    expect(await sh("cat /x/f", ...at("a/b"))).toBe("deep");
    expect(await sh("cat /x/f", ...at("in"))).toBe("deep");
    expect(await sh("ls -d /x/a; ls -d /x/etc 2>&1; true", ...at("up"))).toBe(
      "/x/a\nls: /x/etc: No such file or directory",
    );
    const { code, stderr } = await docker("run", "--rm", ...at("none"), "busybox", "true");
    expect(stderr).toContain("_data, in it none");
    expect(code).toBe(127);
    await ok("volume", "rm", "parts");
  });

  test("a tmpfs of the local driver is mounted while it is used, and forgets then", async () => {
    const options = ["--opt", "type=tmpfs", "--opt", "device=tmpfs", "--opt", "o=size=64k,uid=7"];
    await ok("volume", "create", ...options, "fast");
    const id = await engine.sleeper("-v", "fast:/fast");
    expect(
      await ok("exec", id, "sh", "-c", "echo a > /fast/a; stat -c %u /fast; df -k /fast | awk 'NR==2{print $2}'"),
    ).toBe("7\n64");
    expect(await sh("cat /fast/a", "-v", "fast:/fast")).toBe("a");
    await engine.daemon.restart("SIGKILL");
    expect(await sh("cat /fast/a", "-v", "fast:/fast")).toBe("a");
    await ok("rm", "-f", id);
    expect(await sh("ls /fast", "-v", "fast:/fast")).toBe("");
    await ok("volume", "rm", "fast");
  });

  test("a bind of the local driver shows a folder of the host, and a missing one is told of", async () => {
    const host = engine.daemon.path("bound");
    const options = ["--opt", "type=none", "--opt", "o=bind", "--opt", `device=${host}`];
    await ok("volume", "create", ...options, "bound");
    const failed = await docker("run", "--rm", "-v", "bound:/x", "busybox", "true");
    expect(failed.stderr).toContain("failed to mount local volume");
    mkdirSync(host);
    writeFileSync(join(host, "a"), "host\n");
    expect(await sh("cat /x/a; echo b > /x/b", "-v", "bound:/x")).toBe("host");
    await ok("volume", "rm", "bound");
    expect(readdirSync(host).toSorted()).toEqual(["a", "b"]);
  });

  test("another volume driver is refused", async () => {
    for (const flags of [
      ["--volume-driver", "nfs9", "-v", "x1:/x"],
      ["--mount", "src=x1,dst=/x,volume-driver=nfs9"],
    ])
      expect((await docker("create", ...flags, "busybox")).stderr).toContain('plugin "nfs9" not found');
    expect(await names()).toEqual([]);
  });

  test("system df counts volumes", async () => {
    await sh("dd if=/dev/zero of=/x/f bs=1000 count=50 2>/dev/null", "-v", "sized:/x");
    expect(await ok("system", "df", "--format", "{{.Type}} {{.TotalCount}} {{.Active}} {{.Size}}")).toContain(
      "Local Volumes 1 0 50kB",
    );
    expect(await ok("system", "df", "-v")).toMatch(/sized +0 +50kB/);
    expect(await bosun.ok("system", "df", "-v")).toMatch(/sized +0 +50kB/);
    expect(await bosun.ok("system", "df", "--format", "{{.Type}} {{.Size}}")).toContain("Local Volumes 50kB");
    await ok("volume", "rm", "sized");
  });

  test("events tell of volumes", async () => {
    const since = String(Date.now() / 1000);
    const id = await ok("run", "-d", "-v", "told:/x", "--network", "none", "busybox", "true");
    await ok("wait", id);
    await ok("rm", id);
    await ok("volume", "rm", "told");
    const format = '{{.Action}} {{index .Actor.Attributes "driver"}} {{index .Actor.Attributes "destination"}}';
    const until = String(Date.now() / 1000);
    const told = await ok("events", "-f", "volume=told", "--since", since, "--until", until, "--format", format);
    expect(told.split("\n").map((line) => line.trim())).toEqual([
      "create local",
      "mount local /x",
      "unmount local",
      "destroy local",
    ]);
  });

  test("a daemon that is killed keeps volumes, and forgets anonymous ones of containers that never were", async () => {
    await sh("echo kept > /x/a", "-v", "stays:/x");
    const id = await ok("create", "-v", "/anon", "--network", "none", "busybox", "true");
    const before = await names();
    await engine.daemon.restart("SIGKILL");
    expect(await names()).toEqual(before);
    expect(await sh("cat /x/a", "-v", "stays:/x")).toBe("kept");
    expect((await docker("volume", "rm", before.find((name) => name !== "stays") ?? "")).stderr).toContain(id);
    await ok("rm", "-v", id);
    await ok("volume", "rm", "stays");
    expect(existsSync(join(engine.daemon.dataRoot, "volumes", "stays"))).toBe(false);
  });
});
