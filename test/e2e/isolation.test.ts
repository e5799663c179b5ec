/** What keeps a container apart from the host, judged by what its own kernel files say. */

import { expect, test } from "bun:test";
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { DEFAULT_CAPABILITIES } from "../../src/container/isolation.ts";
import { CAPABILITIES } from "../../src/runtime/capability-names.ts";
import { e2e, procStatus } from "../support/e2e.ts";

const NAMESPACES = ["mnt", "pid", "net", "ipc", "uts"] as const;

/** A set as /proc/<pid>/status writes it. */
const setOf = (...names: readonly string[]): string =>
  names
    .reduce((set, name) => set | (1n << BigInt(CAPABILITIES.indexOf(name as (typeof CAPABILITIES)[number]))), 0n)
    .toString(16)
    .padStart(16, "0");

const ours = (): string => procStatus("self", "CapEff");

e2e("isolation", (engine) => {
  const { docker, ok, sh, inspect, sleeper } = engine;

  const status = (field: string, ...flags: readonly string[]): Promise<string> =>
    sh(`awk '/^${field}:/ { print $2 }' /proc/self/status`, ...flags);

  /** Of the first process, as the host sees it. */
  const namespacesOf = async (id: string): Promise<Record<string, string>> => {
    const pid = await inspect(id, "{{.State.Pid}}");
    return Object.fromEntries(NAMESPACES.map((name) => [name, readlinkSync(`/proc/${pid}/ns/${name}`)]));
  };
  const ofHost = Object.fromEntries(NAMESPACES.map((name) => [name, readlinkSync(`/proc/self/ns/${name}`)]));

  test("every namespace is the container's own", async () => {
    const [one, other] = [await namespacesOf(await sleeper()), await namespacesOf(await sleeper())];
    for (const name of NAMESPACES) {
      expect(one[name]).not.toBe(ofHost[name] ?? "");
      expect(one[name]).not.toBe(other[name] ?? "");
    }
  });

  test.each([
    ["pid", ["--pid", "host"]],
    ["ipc", ["--ipc", "host"]],
    ["uts", ["--uts", "host"]],
  ] as const)("the host's %s namespace is shared when it is asked for, and no other", async (shared, flags) => {
    const found = await namespacesOf(await sleeper(...flags));
    for (const name of NAMESPACES) expect(found[name] === ofHost[name]).toBe(name === shared);
  });

  test("processes of the host and of other containers are not to be seen", async () => {
    await sleeper();
    expect((await sh("ls /proc | grep -c '^[0-9]'; cat /proc/1/comm")).split("\n")[0]).toMatch(/^[1-5]$/);
    const first = readFileSync("/proc/1/cmdline", "latin1").replaceAll("\0", " ");
    expect(await sh("tr '\\0' ' ' < /proc/1/cmdline", "--pid", "host")).toBe(first);
  });

  test("capabilities are Docker's default set, and nothing is inheritable or ambient", async () => {
    const wanted = setOf(...DEFAULT_CAPABILITIES);
    for (const field of ["CapEff", "CapPrm", "CapBnd"]) expect(await status(field)).toBe(wanted);
    for (const field of ["CapInh", "CapAmb"]) expect(await status(field)).toBe(setOf());
  });

  test.each([
    [["--cap-drop", "ALL"], setOf()],
    [["--cap-drop", "ALL", "--cap-add", "NET_ADMIN", "--cap-add", "cap_kill"], setOf("CAP_NET_ADMIN", "CAP_KILL")],
    [["--cap-add", "SYS_PTRACE"], setOf(...DEFAULT_CAPABILITIES, "CAP_SYS_PTRACE")],
    [["--cap-drop", "MKNOD"], setOf(...DEFAULT_CAPABILITIES.filter((name) => name !== "CAP_MKNOD"))],
  ])("capabilities with %p are those", async (flags, wanted) => {
    expect(await status("CapEff", ...flags)).toBe(wanted);
    expect(await status("CapBnd", ...flags)).toBe(wanted);
  });

  test("capabilities with --privileged or --cap-add ALL are all that the engine has", async () => {
    expect(await status("CapEff", "--privileged")).toBe(ours());
    expect(await status("CapEff", "--cap-add", "ALL")).toBe(ours());
  });

  test("a user without privilege has no effective capability, but may get those of its bounding set", async () => {
    expect(await status("CapEff", "-u", "bob")).toBe(setOf());
    expect(await status("CapPrm", "-u", "bob")).toBe(setOf());
    expect(await status("CapBnd", "-u", "bob")).toBe(setOf(...DEFAULT_CAPABILITIES));
  });

  test("a capability that does not exist is refused", async () => {
    const { code, stderr } = await docker("create", "--cap-add", "FLY", "busybox");
    expect(stderr).toContain('unknown capability: "CAP_FLY"');
    expect(code).toBe(1);
  });

  test("a seccomp filter is on, and off when it is asked for", async () => {
    expect(await status("Seccomp")).toBe("2");
    expect(await status("Seccomp", "--security-opt", "seccomp=unconfined")).toBe("0");
    expect(await status("Seccomp", "--privileged")).toBe("0");
    expect((await docker("run", "--rm", "busybox", "unshare", "-U", "true")).stderr).toContain(
      "Operation not permitted",
    );
    expect(
      (await docker("run", "--rm", "--security-opt", "seccomp=unconfined", "busybox", "unshare", "-U", "true")).code,
    ).toBe(0);
  });

  test("a seccomp profile of the user's decides", async () => {
    const path = engine.daemon.path("profile.json");
    const profile = {
      defaultAction: "SCMP_ACT_ALLOW",
      syscalls: [{ names: ["mkdir", "mkdirat"], action: "SCMP_ACT_ERRNO", errnoRet: 95 }],
    };
    await Bun.write(path, JSON.stringify(profile));
    const { stderr } = await docker("run", "--rm", "--security-opt", `seccomp=${path}`, "busybox", "mkdir", "/new");
    expect(stderr).toContain("not supported"); // 95, EOPNOTSUPP
    const broken = await docker("create", "--security-opt", 'seccomp={"defaultAction":', "busybox");
    expect(broken.code).not.toBe(0);
  });

  test("no_new_privs is set when it is asked for", async () => {
    expect(await status("NoNewPrivs")).toBe("0");
    expect(await status("NoNewPrivs", "--security-opt", "no-new-privileges")).toBe("1");
    expect(await status("NoNewPrivs", "--security-opt", "no-new-privileges=true", "-u", "bob")).toBe("1");
    expect((await docker("run", "--security-opt", "apparmor=x", "busybox")).stderr).toMatch(
      /AppArmor (is not supported on this host|profile "x" is not loaded)/,
    );
  });

  test("paths of /proc and /sys are masked or read-only, unless the container is privileged", async () => {
    const masked =
      "cat /proc/kcore /proc/keys /proc/timer_list 2>/dev/null | wc -c; ls -A /sys/firmware /proc/scsi /proc/acpi 2>/dev/null | grep -v : | wc -w";
    expect((await sh(masked)).split(/\s+/)).toEqual(["0", "0"]);
    const writes =
      "for f in /proc/sys/kernel/domainname /proc/sysrq-trigger /sys/kernel/mm/ksm/run /sys/fs/cgroup/x; do (echo 0 > $f) 2>&1; done; true";
    expect((await sh(writes)).split("\n").length).toBe(4);
    expect(await sh("grep -c ' /proc/kcore ' /proc/self/mountinfo || true", "--privileged")).toBe("0");
    expect(await sh("echo sea > /proc/sys/kernel/domainname; cat /proc/sys/kernel/domainname", "--privileged")).toBe(
      "sea",
    );
    expect(await sh("grep ' /sys ' /proc/self/mountinfo", "--privileged")).toMatch(/ \/sys rw,/);
  });

  test("masked paths can be left open", async () => {
    const { code, stdout } = await docker(
      "run",
      "--rm",
      "--security-opt",
      "systempaths=unconfined",
      "busybox",
      "grep",
      "-c",
      " /proc/",
      "/proc/self/mountinfo",
    );
    expect([code, stdout]).toEqual([1, "0\n"]);
  });

  test("the host's root is out of sight: no mount leads there, and .. of / is /", async () => {
    expect(await sh("ls -di / /.. | awk '{ print $1 }' | sort -u | wc -l")).toBe("1");
    const roots = (await sh("awk '{ print $5 }' /proc/self/mountinfo")).split("\n");
    expect(roots.filter((point) => point.startsWith(engine.daemon.folder.path))).toEqual([]);
    expect(roots.filter((point) => point === "/")).toEqual(["/"]);
    // A chroot can be left by a process with CAP_SYS_CHROOT; a pivoted root cannot.
    const leave = "mkdir /x; cd /; chroot /x 2>/dev/null; cd ../../../..; ls";
    expect((await sh(leave)).split("\n")).toContain("home");
  });

  test("mounts of the container do not reach the host, nor the host's later ones the container", async () => {
    const ours = () =>
      readFileSync("/proc/self/mountinfo", "utf8")
        .split("\n")
        .filter((line) => line.includes(engine.daemon.folder.path)).length; // others mount and unmount meanwhile
    const before = ours();
    const id = await sleeper("--privileged");
    await ok("exec", id, "mount", "-t", "tmpfs", "tmpfs", "/srv");
    const layers = 1; // that of the image, which all containers share
    expect(ours()).toBeLessThanOrEqual(before + layers);
  });

  test("no file of the engine's is open in the container", async () => {
    expect((await sh("ls -l /proc/self/fd | awk 'NR > 1 { print $9 }'")).split("\n")).toEqual(["0", "1", "2", "3"]);
    for (const flags of [[], ["-i"], ["-t"], ["-i", "-t"]]) {
      const pid = await inspect(await sleeper(...flags), "{{.State.Pid}}");
      expect(readdirSync(`/proc/${pid}/fd`).toSorted()).toEqual(["0", "1", "2"]);
    }
    const terminal = await docker("run", "--rm", "-t", "busybox", "ls", "/proc/self/fd");
    expect(terminal.stdout.trim().split(/\s+/)).toEqual(["0", "1", "2", "3"]);
  });

  test("the environment of the engine does not reach the container", async () => {
    const names = (await sh("env")).split("\n").map((line) => line.split("=")[0]);
    expect(names.filter((name) => !["PATH", "HOSTNAME", "HOME", "SHLVL", "PWD"].includes(name ?? ""))).toEqual([]);
  });

  test("devices that are not its own can be made, but neither read nor written", async () => {
    const script =
      "mknod /disk b 7 0 && mknod /mem c 1 1 && (cat /disk; cat /mem; echo x > /mem) 2>&1; mknod /null c 1 3 && echo x > /null && echo fine";
    const output = await sh(script);
    expect(output.match(/Operation not permitted/g)?.length).toBe(3);
    expect(output).toEndWith("fine");
  });

  test("--device gives one device of the host's, with the access that is asked for", async () => {
    const script =
      "(echo x > /dev/kmsg) 2>&1; dd if=/dev/kmsg of=/dev/null bs=8192 count=1 2>/dev/null && echo readable";
    const output = await sh(script, "--cap-add", "SYSLOG", "--device", "/dev/kmsg:/dev/kmsg:r");
    expect(output).toContain("Operation not permitted");
    expect(output).toEndWith("readable");
    expect(await sh("ls -l /dev/other | cut -c1", "--device", "/dev/kmsg:/dev/other")).toBe("c");
    const { code, stderr } = await docker("run", "--rm", "--device", "/dev/nowhere", "busybox", "true");
    expect(stderr).toContain('error gathering device information while adding custom device "/dev/nowhere"');
    expect(code).not.toBe(0);
  });

  test("--privileged gives all devices of the host's", async () => {
    const names = (await sh("ls /dev", "--privileged")).split("\n");
    expect(names).toContain("kmsg");
    expect(await sh("head -c 1 /dev/kmsg | wc -c", "--privileged")).toBe("1");
  });

  test("--sysctl sets what is the container's, and refuses what is the host's", async () => {
    expect(
      await sh(
        "cat /proc/sys/kernel/msgmax /proc/sys/net/ipv4/ip_default_ttl",
        "--sysctl",
        "kernel.msgmax=4096",
        "--sysctl",
        "net.ipv4.ip_default_ttl=77",
      ),
    ).toBe("4096\n77");
    const refused = async (HostConfig: object) =>
      (await engine.daemon.post("/containers/create", { Image: "busybox", HostConfig })).text();
    expect(await refused({ Sysctls: { "vm.swappiness": "1" } })).toContain("is not in a separate kernel namespace");
    const shared = { NetworkMode: "host", Sysctls: { "net.ipv4.ip_forward": "1" } };
    expect(await refused(shared)).toContain("is not in a separate kernel namespace");
    const nonsense = await docker("run", "--rm", "--sysctl", "kernel.msgmax=much", "busybox", "true");
    expect(nonsense.stderr).toContain("Cannot sysctl kernel.msgmax to much");
  });

  test("a container without privilege can bind low ports, and is allowed to ping", async () => {
    expect(
      await sh("cat /proc/sys/net/ipv4/ip_unprivileged_port_start /proc/sys/net/ipv4/ping_group_range", "-u", "bob"),
    ).toMatch(/^0\n0\s+2147483647$/);
    expect(await sh("nc -l -p 80 -e echo hello & until nc 127.0.0.1 80 2>/dev/null; do :; done", "-u", "bob")).toBe(
      "hello",
    );
  });

  test("a program cannot change its own image or another container's", async () => {
    await sh("rm -rf /srv /etc/passwd; echo gone > /etc/group");
    expect(await sh("ls -d /srv; head -1 /etc/passwd /etc/group 2>/dev/null | grep -c root")).toBe("/srv\n2");
  });
});
