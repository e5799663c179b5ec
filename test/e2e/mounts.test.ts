/** Mounts that are neither plain binds nor volumes: of images. */

import { expect, test } from "bun:test";
import { chmod, chown, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { e2e } from "../support/e2e.ts";
import { makeFolder } from "../support/folder.ts";

e2e("mounts", (engine) => {
  const { docker, ok, sh, inspect, sleeper } = engine;
  const IMAGE = "type=image,source=busybox,target=/other";

  test("type=image shows an image's files, read-only", async () => {
    const { stdout, stderr } = await docker(
      ...["run", "--rm", "--mount", IMAGE, "busybox", "sh", "-c", "ls /other; touch /other/x"],
    );
    expect(stdout.split("\n")).toContain("bin");
    expect(stderr).toContain("Read-only file system");
  });

  test("several images, and a part of one, at a time", async () => {
    const mounts = [
      { Type: "image", Source: "busybox", Target: "/whole" },
      { Type: "image", Source: "busybox", Target: "/part", ImageOptions: { Subpath: "bin" } },
    ];
    const body = {
      Image: "busybox",
      Cmd: ["sh", "-c", "ls /whole/bin | wc -l; ls /part | wc -l"],
      HostConfig: { Mounts: mounts },
    };
    const { Id } = (await (await engine.daemon.post("/containers/create", body)).json()) as { Id: string };
    await ok("start", Id);
    await ok("wait", Id);
    const [whole, part, ...more] = (await ok("logs", Id)).split("\n");
    expect([part, more]).toEqual([whole, []]);
    expect(Number(whole)).toBeGreaterThan(0);
    const shown = JSON.parse(await inspect(Id, "{{json .Mounts}}"));
    expect(shown[1]).toMatchObject({ Type: "image", Name: "busybox", Destination: "/part", RW: false });
  });

  test("a part that is not there, or leads out, is refused", async () => {
    for (const Subpath of ["none", "bin/none"]) {
      const Mounts = [{ Type: "image", Source: "busybox", Target: "/part", ImageOptions: { Subpath } }];
      const body = { Image: "busybox", Cmd: ["true"], HostConfig: { Mounts } };
      const { Id } = (await (await engine.daemon.post("/containers/create", body)).json()) as { Id: string };
      expect((await docker("start", Id)).stderr).toContain("no such file or directory");
    }
  });

  test("links in an image do not lead a part of it out of the image", async () => {
    const base = await sleeper();
    await ok("exec", base, "sh", "-c", "ln -s / /out; ln -s ../../../../.. /up; touch /mark");
    await ok("commit", base, "linked");
    for (const Subpath of ["out", "up", "up/up"]) {
      const Mounts = [{ Type: "image", Source: "linked", Target: "/part", ImageOptions: { Subpath } }];
      const body = { Image: "busybox", Cmd: ["ls", "/part"], HostConfig: { Mounts } };
      const { Id } = (await (await engine.daemon.post("/containers/create", body)).json()) as { Id: string };
      await ok("start", Id);
      await ok("wait", Id);
      expect((await ok("logs", Id)).split("\n")).toContain("mark"); // the image's own root
      await ok("rm", Id);
    }
    await ok("rm", "-f", base);
    await ok("rmi", "linked");
  });

  test("a mounted image stays as long as its container, over restarts of the daemon", async () => {
    await ok("tag", "busybox", "mounted");
    const base = await sleeper("-v", "/data", "--name", "base");
    await ok("exec", base, "touch", "/made");
    await ok("commit", base, "special");
    await ok("rm", "-fv", base);
    const id = await sleeper("--mount", "type=image,source=special,target=/other");
    expect((await docker("rmi", "special")).stderr).toContain("is using its referenced image");
    await engine.daemon.restart();
    expect(await ok("exec", id, "ls", "/other/made")).toBe("/other/made");
    await ok("restart", "-t", "0", id);
    expect(await ok("exec", id, "ls", "/other/made")).toBe("/other/made");
    await ok("kill", id);
    await ok("wait", id);
    const copied = await engine.dockerWith({}, "cp", `${id}:/other/made`, "-");
    expect(copied.stdout).toContain("made");
    await engine.daemon.restart();
    await ok("start", id);
    expect(await ok("exec", id, "ls", "/other/made")).toBe("/other/made");
    const fsck = await engine.daemon.post("/bosun/fsck").then((answer) => answer.text(), String);
    expect(fsck).not.toContain(".image-");
    await ok("rm", "-f", id);
    await ok("rmi", "special", "mounted");
  });

  test("idmap shows files of a bind as others', both ways", async () => {
    await using folder = await makeFolder();
    await chmod(folder.path, 0o777);
    await writeFile(join(folder.path, "theirs"), "");
    await chown(join(folder.path, "theirs"), 5, 6);
    const spec = `${folder.path}:/x:idmap=uids=0-1000-10;gids=0-2000-10`;
    expect(await sh("stat -c %u:%g /x/theirs", "-v", spec)).toBe("1005:2006");
    await ok("run", "--rm", "--user", "1003:2004", "-v", spec, "busybox", "touch", "/x/made");
    const { uid, gid } = await stat(join(folder.path, "made"));
    expect([uid, gid]).toEqual([3, 4]);
    const id = await ok("create", "-v", spec, "busybox");
    expect(await inspect(id, "{{json .HostConfig.Binds}}")).toBe(JSON.stringify([spec]));
  });

  test.each([
    ["/tmp:/x:idmap", "idmap without a mapping is that of the container's user namespace"],
    ["/tmp:/x:idmap=uids=0-1", "invalid idmap range"],
    ["named:/x:idmap=uids=0-1-1", "a volume has no id mapping"],
    ["/proc:/x:idmap=uids=0-1-1", "its file system cannot map ids"],
  ])("-v %p is refused in words", async (spec, words) => {
    const { stderr, code } = await docker("run", "--rm", "-v", spec, "busybox", "true");
    expect(stderr).toContain(words);
    expect(code).toBe(125);
  });

  test("an image of that name has to be there", async () => {
    const { stderr, code } = await docker("create", "--mount", "type=image,source=none,target=/x", "busybox");
    expect(stderr).toContain("No such image: none:latest");
    expect(code).toBe(1);
    expect(await sh("ls /", "--mount", IMAGE)).toContain("other");
  });
});
