/** `docker cp` both ways, of containers that run and that do not, by docker's path rules; GNU tar judges archives. */

import { expect, test } from "bun:test";
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  readlinkSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { file, folder, hardlink, symlink, tarOf } from "../../bench/fixture/tar.ts";
import { bosunOf } from "../support/bosun.ts";
import { e2e } from "../support/e2e.ts";
import { lastingLeftovers } from "../support/leftovers.ts";

e2e("copies", (engine) => {
  const { docker, ok } = engine;
  const bosun = bosunOf(engine);
  let count = 0;

  /** A new folder of the host. */
  const hostFolder = (): string => {
    const path = engine.daemon.path(`copy-${count++}`);
    mkdirSync(path);
    return path;
  };
  const script =
    "mkdir -p /box/dir/deep && echo one > /box/file && echo two > /box/dir/deep/f && ln -s dir /box/link && ln -s /box/file /box/abs && ln -s nowhere /box/broken && chmod 4751 /box/file && chown 1000:50 /box/dir";
  /** Containers with the same files: one runs, one has ended, one never ran. */
  const containers = async (): Promise<readonly string[]> => {
    const running = await engine.sleeper();
    await ok("exec", running, "sh", "-c", script);
    const ended = await ok("create", "--network", "none", "busybox", "sh", "-c", script);
    await ok("start", "-a", ended);
    return [running, ended];
  };
  const remove = (ids: readonly string[]) => ok("rm", "-f", ...ids);
  const archive = (id: string, path: string, init: RequestInit = {}) =>
    engine.daemon.api(`/containers/${id}/archive?path=${encodeURIComponent(path)}`, init);
  const put = async (id: string, path: string, body: Uint8Array, query = "") => {
    const response = await engine.daemon.api(`/containers/${id}/archive?path=${encodeURIComponent(path)}${query}`, {
      method: "PUT",
      body,
    });
    return { status: response.status, text: await response.text() };
  };
  const statOf = async (id: string, path: string): Promise<Record<string, unknown>> => {
    const { headers } = await archive(id, path, { method: "HEAD" });
    return JSON.parse(Buffer.from(headers.get("x-docker-container-path-stat") ?? "", "base64").toString());
  };
  const listed = (tar: Uint8Array): string[] => {
    const { stdout } = Bun.spawnSync(["tar", "-tf", "-"], { stdin: tar });
    return stdout.toString().trim().split("\n");
  };

  test("files, folders, links and their attributes come out as they are", async () => {
    const ids = await containers();
    for (const id of ids) {
      const to = hostFolder();
      await ok("cp", `${id}:/box/file`, to);
      expect(readFileSync(join(to, "file"), "utf8")).toBe("one\n");
      expect(statSync(join(to, "file")).mode & 0o7777).toBe(0o4751);
      await ok("cp", `${id}:/box/file`, join(to, "renamed"));
      expect(readFileSync(join(to, "renamed"), "utf8")).toBe("one\n");
      await ok("cp", `${id}:/box/dir`, to);
      await ok("cp", `${id}:/box/dir`, join(to, "new"));
      await ok("cp", `${id}:/box/dir/.`, join(to, "contents"));
      for (const name of ["dir", "new", "contents"])
        expect(readFileSync(join(to, name, "deep/f"), "utf8")).toBe("two\n");
      await ok("cp", `${id}:/box/link`, to);
      expect(readlinkSync(join(to, "link"))).toBe("dir");
      await ok("cp", "-L", `${id}:/box/link`, join(to, "followed"));
      expect(readFileSync(join(to, "followed/deep/f"), "utf8")).toBe("two\n");
      await ok("cp", `${id}:/box/link/`, join(to, "slashed"));
      expect(existsSync(join(to, "slashed/deep/f"))).toBe(true);
      await ok("cp", "-L", `${id}:/box/abs`, join(to, "followed-file"));
      expect(readFileSync(join(to, "followed-file"), "utf8")).toBe("one\n");
    }
    await remove(ids);
  });

  test("files go in, under a new name, into a folder, over another file and through links", async () => {
    const ids = await containers();
    const from = hostFolder();
    writeFileSync(join(from, "a"), "host\n", { mode: 0o640 });
    mkdirSync(join(from, "tree/deep"), { recursive: true });
    writeFileSync(join(from, "tree/deep/x"), "x\n");
    symlinkSync("deep/x", join(from, "tree/to-x"));
    for (const id of ids) {
      await ok("cp", join(from, "a"), `${id}:/box/`);
      await ok("cp", join(from, "a"), `${id}:/box/named`);
      await ok("cp", join(from, "a"), `${id}:/box/file`);
      await ok("cp", join(from, "tree"), `${id}:/box`);
      await ok("cp", join(from, "tree"), `${id}:/box/fresh`);
      await ok("cp", `${join(from, "tree")}/.`, `${id}:/box/link`);
      const back = hostFolder();
      await ok("cp", `${id}:/box`, back);
      const at = (path: string) => readFileSync(join(back, "box", path), "utf8");
      for (const path of ["a", "named", "file"]) expect(at(path)).toBe("host\n");
      for (const path of ["tree/deep/x", "fresh/deep/x", "fresh/to-x", "dir/deep/x", "dir/to-x"])
        expect(at(path)).toBe("x\n");
      expect(at("dir/deep/f")).toBe("two\n");
      expect(lstatSync(join(back, "box/link")).isSymbolicLink()).toBe(true);
      const wrong = await docker("cp", join(from, "tree"), `${id}:/box/file`);
      expect(wrong.stderr).toContain("cannot copy directory");
      expect((await docker("cp", join(from, "a"), `${id}:/box/none/`)).code).toBe(1);
      expect((await docker("cp", join(from, "a"), `${id}:/none/b`)).stderr).toContain(
        `Could not find the file /none in container ${id}`,
      );
    }
    await remove(ids);
  });

  test("bosun's cp does as docker's", async () => {
    const ids = await containers();
    const from = hostFolder();
    writeFileSync(join(from, "a.b"), "host\n");
    mkdirSync(join(from, "tree/deep"), { recursive: true });
    writeFileSync(join(from, "tree/deep/x"), "x\n");
    symlinkSync("tree", join(from, "link"));
    for (const id of ids) {
      await bosun.ok("cp", join(from, "a.b"), `${id}:/box/`);
      await bosun.ok("cp", join(from, "a.b"), `${id}:/box/named,&`);
      await bosun.ok("cp", join(from, "tree"), `${id}:/box/fresh`);
      await bosun.ok("cp", `${join(from, "tree")}/.`, `${id}:/box/link`);
      await bosun.ok("cp", `${join(from, "tree")}/.`, `${id}:/box/made`);
      await bosun.ok("cp", "-L", join(from, "link"), `${id}:/box/followed`);
      const to = hostFolder();
      await bosun.ok("cp", `${id}:/box`, to);
      await bosun.ok("cp", `${id}:/box/file`, join(to, "renamed"));
      await bosun.ok("cp", `${id}:/box/dir/.`, join(to, "contents"));
      await bosun.ok("cp", "-L", `${id}:/box/link`, join(to, "followed"));
      const at = (path: string) => readFileSync(join(to, path), "utf8");
      for (const path of ["box/a.b", "box/named,&"]) expect([path, at(path)]).toEqual([path, "host\n"]);
      for (const name of ["fresh", "dir", "made", "followed"]) expect(at(`box/${name}/deep/x`)).toBe("x\n");
      expect(at("renamed")).toBe("one\n");
      for (const name of ["contents", "followed"]) expect(at(`${name}/deep/f`)).toBe("two\n");
      expect((await bosun("cp", join(from, "tree"), `${id}:/box/file`)).stderr).toBe("cannot copy directory\n");
      expect((await bosun("cp", `${id}:/box/none`, to)).stderr).toBe(
        (await docker("cp", `${id}:/box/none`, to)).stderr,
      );
    }
    await remove(ids);
  });

  test("archives come in on stdin and out on stdout", async () => {
    const ids = await containers();
    for (const id of ids) {
      const sent = tarOf(
        folder("in/"),
        file("in/a", "piped\n", { uid: 7, gid: 8, mode: 0o600, mtime: 1_000_000 }),
        hardlink("in/b", "in/a"),
      );
      const { code, stderr } = await engine.dockerWith({ stdin: sent }, "cp", "-", `${id}:/box`);
      expect([code, stderr]).toEqual([0, ""]);
      const tar = await (await archive(id, "/box/in")).bytes();
      const { stdout } = Bun.spawnSync(["tar", "--numeric-owner", "--utc", "-tvf", "-"], { stdin: tar });
      const lines = stdout
        .toString()
        .trim()
        .split("\n")
        .map((line) => line.replace(/ +/g, " "));
      expect(lines[1]).toBe("-rw------- 7/8 6 1970-01-12 13:46 in/a");
      expect(lines[2]).toContain("in/b link to in/a");
      for (const compressed of [gzipSync(sent), zstdCompressSync(sent)])
        expect(await put(id, "/box/dir", compressed)).toEqual({ status: 200, text: "" });
      expect(listed(await (await archive(id, "/box/dir/in/.")).bytes())).toEqual(["./", "./a", "./b"]);
    }
    await remove(ids);
  });

  test("HEAD tells what is there, in Go's bits, links not followed", async () => {
    const ids = await containers();
    for (const id of ids) {
      const told = await statOf(id, "/box/file");
      expect(told).toEqual({
        name: "file",
        size: 4,
        mode: 2 ** 23 + 0o751,
        mtime: told.mtime,
        linkTarget: "",
      });
      expect(String(told.mtime)).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z$/);
      expect(await statOf(id, "/box/link")).toMatchObject({
        name: "link",
        mode: 2 ** 27 + 0o777,
        linkTarget: "/box/dir",
      });
      expect(await statOf(id, "box/abs")).toMatchObject({ linkTarget: "/box/file" });
      expect(await statOf(id, "/box/broken")).toMatchObject({ linkTarget: "/box/nowhere" });
      expect(await statOf(id, "/box/link/.")).toMatchObject({ name: ".", mode: 2 ** 31 + 0o755, linkTarget: "" });
      expect(await statOf(id, "/")).toMatchObject({ name: "/", mode: 2 ** 31 + 0o755 });
      expect(await statOf(id, "/tmp")).toMatchObject({ mode: 2 ** 31 + 2 ** 20 + 0o777 });
      expect((await archive(id, "/box/none", { method: "HEAD" })).status).toBe(404);
      for (const [path, status, message] of [
        ["/box/none", 404, `Could not find the file /box/none in container ${id}`],
        ["/box/file/", 400, "/box/file/: not a directory"],
        ["", 400, "bad parameter: 'path' cannot be empty"],
      ] as const) {
        const response = await archive(id, path);
        expect([response.status, await response.json()]).toEqual([status, { message }]);
      }
      expect((await put(id, "/box/file", tarOf())).text).toContain("extraction point is not a directory");
    }
    expect((await archive("nobody", "/")).status).toBe(404);
    await remove(ids);
  });

  test("volumes, binds and tmpfs are seen, and what is read-only stays so", async () => {
    const host = hostFolder();
    writeFileSync(join(host, "a"), "bound\n");
    const flags = ["-v", "copied:/vol", "-v", `${host}:/host:ro`, "--read-only", "--tmpfs", "/tmp"];
    const running = await engine.sleeper(...flags);
    await ok("exec", running, "sh", "-c", "echo volume > /vol/v; echo memory > /tmp/m");
    const ended = await ok("create", "--network", "none", ...flags, "busybox", "true");
    for (const id of [running, ended]) {
      const to = hostFolder();
      for (const path of ["/vol/v", "/host/a"]) await ok("cp", `${id}:${path}`, to);
      expect(readFileSync(join(to, "v"), "utf8")).toBe("volume\n");
      await ok("cp", join(to, "v"), `${id}:/vol/w`);
      expect((await docker("cp", join(to, "v"), `${id}:/host/w`)).stderr).toContain(
        "mounted volume is marked read-only",
      );
      expect((await docker("cp", join(to, "v"), `${id}:/srv/w`)).stderr).toContain(
        "container rootfs is marked read-only",
      );
      expect(existsSync(join(host, "w"))).toBe(false);
    }
    await ok("cp", `${running}:/tmp/m`, hostFolder());
    await remove([running, ended]);
    await ok("volume", "rm", "copied");
  });

  test("-a gives what goes in to the container's user", async () => {
    const id = await ok("create", "--network", "none", "-u", "bob", "busybox", "true");
    const from = hostFolder();
    writeFileSync(join(from, "a"), "");
    await ok("cp", "-a", join(from, "a"), `${id}:/srv/a`);
    const tar = await (await archive(id, "/srv/a")).bytes();
    expect(Bun.spawnSync(["tar", "--numeric-owner", "-tvf", "-"], { stdin: tar }).stdout.toString()).toContain(
      "1000/1001",
    );
    await remove([id]);
  });

  test("a container that is looked into waits with its start, and nothing is left behind", async () => {
    const id = await ok("create", "--network", "none", "busybox", "dd", "if=/dev/zero", "of=/big", "bs=1M", "count=8");
    await ok("start", "-a", id);
    const reader = (await archive(id, "/big")).body?.getReader();
    await reader?.read();
    const started = engine.session({}, "start", "-a", id);
    await reader?.cancel(); // the client leaves in the middle of it
    expect((await started.exited) as unknown).toBe(0);
    await remove([id]);
    expect(await lastingLeftovers(engine.daemon)).toEqual([]);
  });

  test("a daemon that is killed over a copy leaves nothing", async () => {
    const id = await ok(
      "create",
      "--network",
      "none",
      "-v",
      "held:/v",
      "busybox",
      "dd",
      "if=/dev/zero",
      "of=/v/big",
      "bs=1M",
      "count=8",
    );
    await ok("start", "-a", id);
    const reader = (await archive(id, "/v/big")).body?.getReader();
    await reader?.read();
    await engine.daemon.restart("SIGKILL");
    await reader?.cancel().catch(() => {});
    await ok("start", "-a", id);
    await remove([id]);
    await ok("volume", "rm", "held");
    expect(await lastingLeftovers(engine.daemon)).toEqual([]);
  });

  test("links that a container has made lead nowhere but into itself", async () => {
    const id = await engine.sleeper();
    await ok(
      "exec",
      id,
      "sh",
      "-c",
      "ln -s /etc /srv/e; ln -s ../../../../../../../etc /srv/up; ln -s /proc/1/root /srv/r; mkdir /srv/d",
    );
    const from = hostFolder();
    writeFileSync(join(from, "mark"), "mine\n");
    for (const place of ["e", "up"]) await ok("cp", join(from, "mark"), `${id}:/srv/${place}/mark-${place}`);
    expect(await ok("exec", id, "ls", "/etc")).toContain("mark-e\nmark-up");
    expect(existsSync("/etc/mark-e") || existsSync("/etc/mark-up")).toBe(false);
    expect((await docker("cp", join(from, "mark"), `${id}:/srv/r/x`)).code).toBe(1);
    const evil = tarOf(symlink("l", "/etc"), file("l/inside", "x"), file("../above", "x"));
    const answer = await put(id, "/srv/d", evil);
    expect(answer.status).toBe(400);
    expect(answer.text).toContain("outside of the target directory");
    expect(await ok("exec", id, "sh", "-c", "ls /etc/inside; ls /srv/above 2>&1; true")).toBe(
      "/etc/inside\nls: /srv/above: No such file or directory",
    );
    expect(existsSync("/etc/inside")).toBe(false);
    await remove([id]);
  });
});
