/** What a container sees of files: its own root, mounts of the host's, tmpfs, and the three files in /etc. */

import { expect, test } from "bun:test";
import { chmodSync, existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { e2e } from "../support/e2e.ts";

e2e("files and mounts", (engine) => {
  const { docker, ok, sh } = engine;
  let folders = 0;

  /** A new folder of the host. */
  const hostFolder = (): string => {
    const path = engine.daemon.path(`host-${folders++}`);
    mkdirSync(path);
    return path;
  };

  test("the root is the image's, writable, and each container's own", async () => {
    expect(await sh("echo changed > /etc/motd; cat /etc/motd; touch /new")).toBe("changed");
    expect(await sh("cat /etc/motd; ls /new 2>&1 || true")).toContain("of the image\nls: /new: No such file");
    expect(await sh("stat -c '%a %U' /root /tmp /home/bob /srv/private")).toBe(
      "700 root\n1777 root\n755 bob\n700 root",
    );
  });

  test("inspect tells where a container's files are, as far as they are anywhere", async () => {
    const data = async (...of: string[]): Promise<Record<string, string>> =>
      JSON.parse(await ok(...of, "--format", "{{json .GraphDriver.Data}}"));
    const id = await engine.sleeper();
    await ok("exec", id, "sh", "-c", "echo mine > /mine");
    const running = await data("inspect", id);
    expect(Object.keys(running)).toEqual(["LowerDir", "MergedDir", "UpperDir", "WorkDir"]);
    const { LowerDir = "", MergedDir = "", UpperDir = "", WorkDir = "" } = running;
    for (const path of [join(UpperDir, "mine"), join(MergedDir, "mine")])
      expect(readFileSync(path, "utf8")).toBe("mine\n");
    expect(existsSync(join(LowerDir.split(":").at(-1) ?? "", "etc/motd"))).toBe(true);
    expect(existsSync(WorkDir)).toBe(true);
    const { UpperDir: top = "", LowerDir: lower } = await data("image", "inspect", "busybox");
    expect([top, ...(lower?.split(":") ?? [])].join(":")).toBe(LowerDir);
    await ok("stop", "-t", "0", id);
    expect(await data("inspect", id)).toMatchObject({ UpperDir, WorkDir });
    expect(Object.keys(await data("inspect", id))).not.toContain("MergedDir");
    await ok("rm", id);
  });

  test("--read-only leaves nothing of the root writable but what is mounted", async () => {
    const script =
      "for f in /new /etc/hosts /etc/resolv.conf; do (echo x > $f) 2>&1; done; echo ok > /dev/shm/a && echo ok > /cache/a && cat /cache/a";
    const output = await sh(script, "--read-only", "--tmpfs", "/cache");
    expect(output.match(/Read-only file system/g)?.length).toBe(3);
    expect(output.endsWith("\nok")).toBe(true);
  });

  test("--tmpfs mounts an empty file system with the options that are asked for", async () => {
    const line = (options: string) => sh("grep ' /scratch ' /proc/self/mountinfo", "--tmpfs", `/scratch${options}`);
    expect(await line("")).toMatch(/ \/scratch rw,nosuid,nodev,noexec(,relatime)? - tmpfs /);
    expect(await line(":ro,size=1m")).toMatch(/ \/scratch ro,.* - tmpfs tmpfs .*size=1024k/);
    expect(await line(":exec,size=64k,mode=700,uid=1000")).toMatch(
      / \/scratch rw,nosuid,nodev(,relatime)? - .*size=64k,mode=700,uid=1000/,
    );
    const full = await docker(
      "run",
      "--rm",
      "--tmpfs",
      "/s:size=64k",
      "busybox",
      "sh",
      "-c",
      "dd if=/dev/zero of=/s/f bs=100k count=1",
    );
    expect(full.stderr).toContain("No space left on device");
  });

  test("--mount type=tmpfs takes size and mode", async () => {
    const flags = ["--mount", "type=tmpfs,target=/scratch,tmpfs-size=65536,tmpfs-mode=0750"];
    expect(
      await sh("stat -c %a /scratch; grep ' /scratch ' /proc/self/mountinfo | grep -o 'size=[0-9]*k'", ...flags),
    ).toBe("750\nsize=64k");
  });

  test("-v shows a folder of the host, in both directions", async () => {
    const path = hostFolder();
    writeFileSync(join(path, "from-host"), "host\n");
    expect(await sh("cat /mnt/from-host; echo container > /mnt/from-container", "-v", `${path}:/mnt`)).toBe("host");
    expect(readFileSync(join(path, "from-container"), "utf8")).toBe("container\n");
  });

  test("-v …:ro cannot be written to, nor can what is mounted below it", async () => {
    const path = hostFolder();
    mkdirSync(join(path, "below"));
    const script = "(echo x > /mnt/a) 2>&1; (echo x > /mnt/below/a) 2>&1; mount -o remount,rw /mnt 2>&1; true";
    const output = await sh(script, "-v", `${path}:/mnt:ro`);
    expect(output.match(/Read-only file system/g)?.length).toBe(2);
    expect(output).toContain("denied");
    expect(existsSync(join(path, "a"))).toBe(false);
  });

  test("-v makes a source that is missing, and --mount refuses it", async () => {
    const path = join(hostFolder(), "deep", "new");
    await sh("touch /mnt/a", "-v", `${path}:/mnt`);
    expect(existsSync(join(path, "a"))).toBe(true);
    const missing = join(hostFolder(), "missing");
    const { code, stderr } = await docker(
      "run",
      "--rm",
      "--mount",
      `type=bind,source=${missing},target=/mnt`,
      "busybox",
      "true",
    );
    expect(stderr).toContain(`invalid mount config for type "bind": bind source path does not exist: ${missing}`);
    expect(code).toBe(125);
    expect(existsSync(missing)).toBe(false);
  });

  test("-v of a single file, onto one that is there or one that is not", async () => {
    const path = join(hostFolder(), "file");
    writeFileSync(path, "host\n");
    const flags = ["-v", `${path}:/etc/motd`, "-v", `${path}:/new/place/file`];
    expect(await sh("cat /etc/motd /new/place/file; echo more >> /etc/motd", ...flags)).toBe("host\nhost");
    expect(readFileSync(path, "utf8")).toBe("host\nmore\n");
  });

  test("mounts at nested targets are all there, whatever their order", async () => {
    const [outer, inner] = [hostFolder(), hostFolder()];
    writeFileSync(join(outer, "name"), "outer\n");
    writeFileSync(join(inner, "name"), "inner\n");
    const flags = ["-v", `${inner}:/a/b`, "--tmpfs", "/a/b/c", "-v", `${outer}:/a`];
    expect(await sh("cat /a/name /a/b/name; touch /a/b/c/d && echo tmp", ...flags)).toBe("outer\ninner\ntmp");
  });

  test("a mount below a symlink of the image that points out lands inside the container", async () => {
    const path = hostFolder();
    writeFileSync(join(path, "mark"), "inside\n");
    expect(await sh("cat /etc/mounted/mark", "-v", `${path}:/srv/out/mounted`)).toBe("inside");
    expect(existsSync("/etc/mounted")).toBe(false);
    // links of the kernel such as this one may not lead out either
    const { code, stderr } = await docker("run", "--rm", "-v", `${path}:/proc/1/cwd/x`, "busybox", "true");
    expect(stderr).toContain("/proc/1/cwd/x");
    expect(code).not.toBe(0);
    expect(existsSync("/x")).toBe(false);
  });

  test("a bind mount follows a symlink of the host to its target", async () => {
    const path = hostFolder();
    mkdirSync(join(path, "real"));
    writeFileSync(join(path, "real", "mark"), "real\n");
    symlinkSync("real", join(path, "link"));
    expect(await sh("cat /mnt/mark", "-v", `${join(path, "link")}:/mnt`)).toBe("real");
  });

  test("bind propagation lets mounts travel as far as it says, and no further", async () => {
    const path = hostFolder();
    const mount = (...words: readonly string[]) => Bun.spawnSync(["mount", ...words]).exitCode;
    expect(mount("-t", "tmpfs", "shared", path)).toBe(0);
    for (const name of ["host", "container"]) mkdirSync(join(path, name));
    const refused = await docker("run", "--rm", "-v", `${path}:/x:rshared`, "busybox", "true");
    expect(refused.stderr).toContain(`path ${path} is mounted on ${path} but it is not a shared mount`);
    expect(mount("--make-shared", path)).toBe(0);
    const modes = ["rshared", "rslave", "rprivate"] as const;
    const ids = await Promise.all(modes.map((mode) => engine.sleeper("--privileged", "-v", `${path}:/x:${mode}`)));
    expect(mount("-t", "tmpfs", "late", join(path, "host"))).toBe(0);
    const sees = (id: string, name: string) =>
      ok("exec", id, "sh", "-c", `grep -c ' /x/${name} ' /proc/self/mountinfo || true`);
    expect(await Promise.all(ids.map((id) => sees(id, "host")))).toEqual(["1", "1", "0"]);
    const onHost = () =>
      readFileSync("/proc/self/mountinfo", "utf8")
        .split("\n")
        .filter((line) => line.includes(path)); // others mount and unmount meanwhile
    const before = onHost();
    for (const id of ids.slice(1)) await ok("exec", id, "mount", "-t", "tmpfs", "own", "/x/container");
    expect(onHost()).toEqual(before);
    await ok("exec", ids[0] ?? "", "mount", "-t", "tmpfs", "own", "/x/container");
    expect(onHost().some((line) => line.includes(` ${path}/container `))).toBe(true);
    await ok("rm", "-f", ...ids);
    expect(onHost().some((line) => line.includes(` ${path} `))).toBe(true);
    for (const name of ["container", "host", ""]) Bun.spawnSync(["umount", join(path, name)]);
    expect(onHost()).toEqual([]);
  });

  test("mounts of a container do not show on the host", async () => {
    const path = hostFolder();
    const id = await engine.sleeper("-v", `${path}:/mnt`, "--tmpfs", "/mnt/inner");
    const points = readFileSync("/proc/self/mountinfo", "utf8")
      .split("\n")
      .map((line) => line.split(" ")[4] ?? "");
    expect(points.filter((point) => point.startsWith(path) || point.includes(id))).toEqual([]);
  });

  test("--shm-size sizes /dev/shm, 64 MiB without it", async () => {
    const size = (...flags: readonly string[]) => sh("df -k /dev/shm | awk 'NR == 2 { print $2 }'", ...flags);
    expect(await size()).toBe("65536");
    expect(await size("--shm-size", "8m")).toBe("8192");
  });

  test("/etc/hostname, hosts and resolv.conf are the container's own and may be written", async () => {
    const hosts = await sh(
      "cat /etc/hosts",
      "-h",
      "ship",
      "--add-host",
      "pier:192.0.2.7",
      "--add-host",
      "six:2001:db8::1",
    );
    expect(hosts).toContain("127.0.0.1\tlocalhost");
    expect(hosts).toContain("192.0.2.7\tpier");
    expect(hosts).toContain("2001:db8::1\tsix");
    const flags = ["--dns", "192.0.2.53", "--dns-search", "sea.example", "--dns-option", "ndots:3"];
    expect(await sh("cat /etc/resolv.conf", ...flags)).toBe(
      "nameserver 192.0.2.53\nsearch sea.example\noptions ndots:3",
    );
    expect(await sh("echo '192.0.2.9 other' >> /etc/hosts && tail -1 /etc/hosts")).toBe("192.0.2.9 other");
  });

  test("/dev has the usual devices and nothing of the host's", async () => {
    const names = (await sh("ls /dev")).split("\n");
    expect(names.toSorted()).toEqual(
      [
        "core",
        "fd",
        "full",
        "mqueue",
        "null",
        "ptmx",
        "pts",
        "random",
        "shm",
        "stderr",
        "stdin",
        "stdout",
        "tty",
        "urandom",
        "zero",
      ].filter((name) => name !== "core"),
    );
    expect(
      await sh(
        "head -c 3 /dev/zero | od -An -tx1; echo lost > /dev/null; echo e > /dev/stderr; cat /dev/full 2>&1 | head -c 1 | od -An -tx1",
      ),
    ).toContain("00 00 00");
  });

  test("-w, -v and commands with odd characters arrive as they are", async () => {
    const path = engine.daemon.path("with blank, comma and ünïcode");
    mkdirSync(path);
    writeFileSync(join(path, "a"), "there\n");
    expect(await sh("cat a; pwd", "-v", `${path}:/mnt/with blank`, "-w", "/mnt/with blank")).toBe(
      "there\n/mnt/with blank",
    );
    expect(await ok("run", "--rm", "busybox", "printf", "%s|", "a b", "", "*", "$HOME", "'", '"', "\n", "ü")).toBe(
      "a b||*|$HOME|'|\"|\n|ü|",
    );
  });

  test("a program that is not the owner's to read does not start", async () => {
    const path = join(hostFolder(), "tool");
    writeFileSync(path, "#!/bin/sh\n");
    chmodSync(path, 0o600);
    const { code, stderr } = await docker("run", "--rm", "-v", `${path}:/tool`, "busybox", "/tool");
    expect(stderr).toContain("permission denied");
    expect(code).toBe(126);
  });
});
