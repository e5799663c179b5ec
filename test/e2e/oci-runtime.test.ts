/** `bosun-runtime` on bundles: what runc does with the same ones, where runc is there to say so. */

import { afterAll, describe, expect, test } from "bun:test";
import { chmodSync, chownSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { procStatus } from "../support/e2e.ts";
import { type ConfigParts, leftCgroups, makeBundle, RUNTIMES } from "../support/oci.ts";
import { until } from "../support/patience.ts";

afterAll(async () => {
  expect(await leftCgroups()).toEqual([]);
});

/** What is in a controller's directory for the bundle's cgroup. Undefined with version 2. */
const cgroupFile = (id: string, controller: string, file: string): string =>
  readFileSync(`/sys/fs/cgroup/${controller}/bosun-test-oci/${id}/${file}`, "utf8").trim();

const isV1 = (() => {
  try {
    readFileSync("/sys/fs/cgroup/memory/cgroup.procs");
    return true;
  } catch {
    return false;
  }
})();

/** The arguments of a process once it runs its program: runc returns while its child is still runc, or in the midst of execve(2) without any. */
async function programOf(pid: string): Promise<string[]> {
  let args: string[] = [];
  await until("it runs a program", () => {
    args = readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0").slice(0, -1);
    return args.length > 0 && args[1] !== "init";
  });
  return args;
}

/** Returns when a process has ended. Its files are closed before that, and then its namespace's other processes end. */
const ended = (pid: number): Promise<void> =>
  until("it has ended", () => !existsSync(`/proc/${pid}`) || /^[ZX]/.test(stateOf(pid)));

/** A letter, as proc_pid_status(5) has it; empty of a process that has just gone. */
function stateOf(pid: number): string {
  try {
    return procStatus(pid, "State");
  } catch {
    return "";
  }
}

const python = Bun.which("python3");

/** What conmon does: a subreaper with a console socket, that creates, starts, types a line and waits for the process itself. */
const CALLER = `
import array, ctypes, os, socket, subprocess, sys
program, root, id = sys.argv[1:]
ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)
listener = socket.socket(socket.AF_UNIX)
listener.bind("console")
listener.listen()
call = [program, "--root", root]
subprocess.run(call + ["create", "--console-socket", "console", "--pid-file", "pid", id], check=True)
connection, _ = listener.accept()
_, fds, _, _ = socket.recv_fds(connection, 100, 1)
subprocess.run(call + ["start", id], check=True)
os.write(fds[0], b"hello\\n")
try:
    while data := os.read(fds[0], 1000):
        os.write(1, data)
except OSError:
    pass
_, status = os.waitpid(int(open("pid").read()), 0)
print("exit", os.waitstatus_to_exitcode(status), flush=True)
`;

describe.each(RUNTIMES)("%s", (_, program) => {
  const bundle = () => makeBundle(program);

  test("run gives output, exit code, identity and place", async () => {
    await using box = await bundle();
    const process = {
      cwd: "/srv",
      user: { uid: 1000, gid: 1001, additionalGids: [50], umask: 0o077 },
      env: ["PATH=/bin", "A=b c"],
    };
    box.configure('id -u; id -g; id -G; pwd; hostname; echo "$A $HOME"; umask; echo oops >&2; exit 7', {
      process,
      hostname: "box",
    });
    const { code, stdout, stderr } = await box.call("run", box.id);
    expect(stdout.replace("1001 50", "50")).toBe(
      "1000\n1001\n50\n/srv\nbox\nb c /home/bob\n0077\n".replace("50", "50"),
    );
    expect([stderr, code]).toEqual(["oops\n", 7]);
    expect((await box.call("state", box.id)).code).toBe(1);
  });

  test("create, start, kill and delete, and what state says meanwhile", async () => {
    await using box = await bundle();
    box.configure("trap 'exit 3' TERM; echo up; while :; do sleep 0.01; done", { annotations: { "org.example": "a" } });
    const creating = box.spawn("create", "--pid-file", `${box.path}/pid`, box.id);
    expect(await creating.exited).toBe(0);
    const pid = Number(readFileSync(`${box.path}/pid`, "utf8"));
    const state = await box.state();
    expect(state).toMatchObject({
      id: box.id,
      pid,
      status: "created",
      bundle: box.path,
      rootfs: box.rootfs,
      owner: expect.anything(),
    });
    expect(state).toMatchObject({ ociVersion: expect.stringMatching(/^1\./), annotations: { "org.example": "a" } });
    expect((await box.call("start", box.id)).code).toBe(0);
    expect(await box.state()).toMatchObject({ pid, status: "running" });
    expect((await box.call("start", box.id)).stderr).toContain("cannot start an already running container");
    expect((await box.call("delete", box.id)).stderr).toContain(`${box.id}`);
    expect((await box.call("create", box.id)).stderr).toContain("container with given ID already exists");
    expect((await box.call("list", "--quiet")).stdout).toBe(`${box.id}\n`);
    const reader = creating.stdout.getReader();
    await reader.read(); // the trap stands once it has said so
    expect((await box.call("kill", box.id)).code).toBe(0);
    while (!(await reader.read()).done);
    await ended(pid);
    expect(await box.state()).toMatchObject({ pid: 0, status: "stopped" });
    expect((await box.call("kill", box.id)).stderr).toContain("container not running");
    expect((await box.call("delete", box.id)).code).toBe(0);
    expect((await box.call("state", box.id)).stderr).toContain("container does not exist");
    expect((await box.call("delete", box.id)).stderr).toContain("container does not exist");
    expect((await box.call("delete", "--force", box.id)).code).toBe(0);
  });

  test("delete removes what was created and never started", async () => {
    await using box = await bundle();
    box.configure("echo never");
    const creating = box.spawn("create", box.id);
    expect(await creating.exited).toBe(0);
    expect((await box.call("delete", box.id)).code).toBe(0);
    expect(await creating.stdout.text()).toBe("");
  });

  test.each([
    ["nosuch", 'exec: "nosuch": executable file not found in $PATH'],
    ["/etc/passwd", "permission denied"],
  ])("create fails for the program %s, in a log for machines", async (program, words) => {
    await using box = await bundle();
    box.configure("", { process: { args: [program] } });
    const log = `${box.path}/log`;
    expect((await box.call("--log", log, "--log-format", "json", "create", box.id)).code).toBe(1);
    const last = JSON.parse(readFileSync(log, "utf8").trim().split("\n").at(-1) ?? "");
    expect(last).toMatchObject({ level: "error", msg: expect.stringContaining(words) });
    expect((await box.call("list", "--quiet")).stdout).toBe("");
  });

  test("mounts are as their options say", async () => {
    await using box = await bundle();
    mkdirSync(`${box.path}/shared/sub`, { recursive: true });
    writeFileSync(`${box.path}/shared/file`, "of the host\n");
    const mounts = [
      { destination: "/a", source: "shared", options: ["rbind", "ro", "nosuid", "rprivate"] },
      { destination: "/a/file", source: `${box.path}/config.json`, options: ["bind", "rw"] },
      { destination: "/t", type: "tmpfs", source: "t", options: ["size=64k", "noexec", "mode=700"] },
      { destination: "/srv", type: "tmpfs", source: "srv", options: ["tmpcopyup"] },
    ];
    box.configure(
      "grep -E ' /(a|a/file|t|srv) ' /proc/mounts | while read d p t o; do echo $p $t $o; done; cat /srv/inner/file; cat /a/file | wc -c; touch /a/x; stat -c %a /t",
      { mounts },
    );
    const { stdout, stderr } = await box.call("run", box.id);
    expect(stdout).toMatch(/^\/a \w+ ro,nosuid/m);
    expect(stdout).toMatch(/^\/a\/file \w+ rw,/m);
    expect(stdout).toMatch(/^\/t tmpfs rw,noexec,relatime,size=64k,mode=700/m);
    expect(stdout).toContain("of the image\n");
    expect(stdout).toEndWith("700\n");
    expect(stderr).toContain("/a/x: Read-only file system");
  });

  test("paths are masked, read-only and the root is, too", async () => {
    await using box = await bundle();
    const linux = { maskedPaths: ["/srv", "/etc/passwd", "/nosuch"], readonlyPaths: ["/tmp"] };
    box.configure("ls /srv | wc -l; cat /etc/passwd | wc -c; touch /tmp/x; touch /y", {
      linux,
      root: { path: "rootfs", readonly: true },
    });
    const { stdout, stderr } = await box.call("run", box.id);
    expect(stdout).toBe("0\n0\n");
    expect(stderr).toContain("/tmp/x: Read-only");
    expect(stderr).toContain("/y: Read-only");
  });

  test("a process has the privileges that it is given, and no more", async () => {
    await using box = await bundle();
    const set = ["CAP_NET_BIND_SERVICE", "CAP_KILL"];
    const process = {
      user: { uid: 1000, gid: 1000 },
      capabilities: { bounding: set, effective: set, permitted: set, inheritable: set, ambient: ["CAP_KILL"] },
      noNewPrivileges: true,
      oomScoreAdj: 500,
      rlimits: [{ type: "RLIMIT_NOFILE", soft: 77, hard: 99 }],
    };
    const seccomp = {
      defaultAction: "SCMP_ACT_ALLOW",
      architectures: ["SCMP_ARCH_X86_64"],
      syscalls: [{ names: ["mkdir", "mkdirat"], action: "SCMP_ACT_ERRNO", errnoRet: 95 }],
    };
    box.configure(
      "grep -E 'Cap|NoNew|Seccomp:' /proc/self/status; cat /proc/self/oom_score_adj; ulimit -Sn; ulimit -Hn; mkdir /tmp/x",
      { process, linux: { seccomp } },
    );
    const { stdout, stderr } = await box.call("run", box.id);
    const value = (name: string) => new RegExp(`^${name}:\\s*(\\S+)$`, "m").exec(stdout)?.[1];
    const bits = ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"].map((name) =>
      Number.parseInt(value(name) ?? "", 16),
    );
    expect(bits).toEqual([0x420, 0x20, 0x20, 0x420, 0x20]);
    expect([value("NoNewPrivs"), value("Seccomp")]).toEqual(["1", "2"]);
    expect(stdout).toEndWith("500\n77\n99\n");
    expect(stderr).toContain("Operation not supported");
  });

  test("hooks run in their order and places, with the state on stdin", async () => {
    await using box = await bundle();
    const out = `${box.path}/hooks`;
    const hook = (name: string, path = "/bin/sh") => [
      {
        path,
        args: ["sh", "-c", `echo ${name} $X $(cat | tr -d ' \\n' | grep -o '"status":"[a-z]*"') >> \${OUT:-/tmp/hook}`],
        env: ["X=y", "PATH=/bin:/usr/bin", ...(path === "/bin/sh" ? [`OUT=${out}`] : [])],
      },
    ];
    const inside = [
      { path: "/bin/sh", args: ["sh", "-c", "cat > /tmp/state; echo $X > /tmp/hook"], env: ["X=z", "PATH=/bin"] },
    ];
    const names = ["prestart", "createRuntime", "createContainer", "poststart", "poststop"];
    const hooks = { ...Object.fromEntries(names.map((name) => [name, hook(name)])), startContainer: inside };
    box.configure('cat /tmp/hook; grep -o \'"id":"[^"]*"\' /tmp/state', { hooks });
    const { stdout, stderr, code } = await box.call("run", box.id);
    expect([stdout, stderr, code]).toEqual([`z\n"id":"${box.id}"\n`, "", 0]);
    expect(readFileSync(out, "utf8").trim().split("\n")).toEqual([
      'prestart y "status":"creating"',
      'createRuntime y "status":"creating"',
      'createContainer y "status":"creating"',
      expect.stringMatching(/^poststart y "status":"(running|created)"$/), // runc 1.1 says created
      'poststop y "status":"stopped"',
    ]);
  });

  test.each(["prestart", "createRuntime", "createContainer", "startContainer"])(
    "a %s hook that fails fails the container",
    async (name) => {
      await using box = await bundle();
      box.configure("echo never", { hooks: { [name]: [{ path: "/bin/sh", args: ["sh", "-c", "exit 9"] }] } });
      const { code, stdout } = await box.call("run", box.id);
      expect([code, stdout]).toEqual([1, ""]);
      expect((await box.call("list", "--quiet")).stdout).toBe("");
    },
  );

  test("a hook is not waited for longer than its timeout", async () => {
    await using box = await bundle();
    const hooks = { createRuntime: [{ path: "/bin/sleep", args: ["sleep", "1000"], timeout: 1 }] };
    box.configure("echo never", { hooks });
    const { code, stderr } = await box.call("run", box.id);
    expect(code).toBe(1);
    expect(stderr).toMatch(/timeout|killed/);
  });

  test.skipIf(!isV1)("resources are limited, updated, paused and told", async () => {
    await using box = await bundle();
    const resources = {
      devices: [{ allow: false, access: "rwm" }],
      memory: { limit: 64 << 20, reservation: 32 << 20, swappiness: 10 },
      cpu: { shares: 512, quota: 50000, period: 100000 },
      pids: { limit: 20 },
      blockIO: { throttleReadBpsDevice: [{ major: 7, minor: 0, rate: 1000 }] },
    };
    box.configure("echo up; exec sleep 1000", { linux: { resources } });
    await box.start();
    const value = (controller: string, file: string) => cgroupFile(box.id, controller, file);
    expect(value("memory", "memory.limit_in_bytes")).toBe(String(64 << 20));
    expect(value("memory", "memory.soft_limit_in_bytes")).toBe(String(32 << 20));
    expect(value("memory", "memory.swappiness")).toBe("10");
    expect(value("cpu", "cpu.shares")).toBe("512");
    expect(value("cpu", "cpu.cfs_quota_us")).toBe("50000");
    expect(value("pids", "pids.max")).toBe("20");
    expect(value("devices", "devices.list").split("\n")).toContain("c 1:3 rwm");
    expect(value("devices", "devices.list").split("\n")).not.toContain("a *:* rwm");
    const { pid } = await box.state();
    expect(JSON.parse((await box.call("ps", "--format", "json", box.id)).stdout)).toEqual([pid]);
    expect((await box.call("ps", box.id)).stdout).toContain("sleep 1000");
    expect((await box.call("update", "--pids-limit", "30", "--memory", "128m", box.id)).code).toBe(0);
    expect([value("pids", "pids.max"), value("memory", "memory.limit_in_bytes")]).toEqual(["30", String(128 << 20)]);
    expect((await box.call("pause", box.id)).code).toBe(0);
    expect(await box.state()).toMatchObject({ status: "paused" });
    expect((await box.call("exec", box.id, "true")).stderr).toContain("cannot exec in a paused container");
    expect((await box.call("resume", box.id)).code).toBe(0);
    expect(await box.state()).toMatchObject({ status: "running" });
    const stats = JSON.parse((await box.call("events", "--stats", box.id)).stdout);
    expect(stats).toMatchObject({ type: "stats", id: box.id, data: { pids: { current: 1, limit: 30 } } });
    expect((await box.call("delete", "--force", box.id)).code).toBe(0);
  });

  test("exec joins a container, and its exit code comes back", async () => {
    await using box = await bundle();
    box.configure("exec sleep 1000", { hostname: "inside", process: { env: ["PATH=/bin", "OF=container"] } });
    await box.start();
    const { code, stdout, stderr } = await box.call(
      ...["exec", "--env", "A=b", "--cwd", "/srv", "--user", "1000:1001", box.id],
      ...["sh", "-c", "hostname; pwd; id -u; echo $A $OF; ls /proc/1/root >&2; exit 5"],
    );
    expect([stdout, code]).toEqual(["inside\n/srv\n1000\nb container\n", 5]);
    expect(stderr).toContain("Permission denied");
    expect((await box.call("exec", box.id, "nosuch")).stderr).toContain("executable file not found in $PATH");
    writeFileSync(
      `${box.path}/process.json`,
      JSON.stringify({
        args: ["sh", "-c", "echo -n from a file"],
        cwd: "/",
        user: { uid: 0, gid: 0 },
        env: ["PATH=/bin"],
      }),
    );
    expect((await box.call("exec", "--process", `${box.path}/process.json`, box.id)).stdout).toBe("from a file");
    const left = box.spawn("exec", "--detach", "--pid-file", `${box.path}/exec-pid`, box.id, "sleep", "999");
    expect(await left.exited).toBe(0);
    const pid = readFileSync(`${box.path}/exec-pid`, "utf8");
    expect(await programOf(pid)).toEqual(["sleep", "999"]);
  });

  test("namespaces are made, left alone or joined by their path", async () => {
    await using box = await bundle();
    const file = (name: string) => `/proc/self/ns/${name}`;
    const kinds = ["pid", "mount", "ipc", "uts"].map((type) => ({ type }));
    const namespaces = [...kinds, { type: "network", path: file("net") }];
    box.configure("readlink /proc/self/ns/net; readlink /proc/self/ns/cgroup; readlink /proc/self/ns/uts", {
      linux: { namespaces },
    });
    const { stdout } = await box.call("run", box.id);
    const own = async (name: string) => (await Bun.$`readlink ${file(name)}`.text()).trim();
    const [net, cgroup, uts] = stdout.trim().split("\n");
    expect([net, cgroup]).toEqual([await own("net"), await own("cgroup")]);
    expect(uts).not.toBe(await own("uts"));
  });

  test("descriptors are passed on", async () => {
    await using box = await bundle();
    box.configure("cat <&3");
    const { stdout } = Bun.spawnSync(
      ["sh", "-c", `exec 3<<end\nthrough\nend\n${program} --root ${box.path}/state run --preserve-fds 1 ${box.id}`],
      { cwd: box.path },
    );
    expect(stdout.toString()).toBe("through\n");
  });

  test.skipIf(!python)(
    "whoever called becomes the parent of the process, and gets its terminal by the console socket",
    async () => {
      await using box = await bundle();
      box.configure('tty; stty size; read line; echo "got $line"; exit 9', {
        process: { terminal: true, consoleSize: { height: 33, width: 99 } },
      });
      const child = Bun.spawnSync([python ?? "", "-c", CALLER, program, `${box.path}/state`, box.id], {
        cwd: box.path,
      });
      const lines = child.stdout.toString().replaceAll("\r", "").split("\n");
      expect(child.stderr.toString()).toBe("");
      const said = lines.filter((line) => line !== "" && line !== "hello"); // the terminal's echo comes when it comes
      expect(said).toEqual(["/dev/pts/0", "33 99", "got hello", "exit 9"]);
    },
  );

  test("signals of run are the container's", async () => {
    await using box = await bundle();
    box.configure("trap 'exit 6' TERM; echo up; while :; do sleep 0.01; done");
    const running = box.spawn("run", box.id);
    const reader = running.stdout.getReader();
    await reader.read();
    running.kill("SIGTERM");
    expect(await running.exited).toBe(6);
  });
});

describe("bosun-runtime alone", () => {
  test("a user namespace maps its users, and has the usual devices", async () => {
    await using box = await makeBundle();
    const mapping = [{ containerID: 0, hostID: 100000, size: 1000 }];
    const namespaces = ["pid", "mount", "ipc", "uts", "network", "user", "cgroup"].map((type) => ({ type }));
    chmodSync(box.path, 0o711);
    box.configure("id -u; cat /proc/self/uid_map; echo x > /dev/null && echo ok; mount -t tmpfs x /tmp; touch /y", {
      linux: { namespaces, uidMappings: mapping, gidMappings: mapping },
      process: { oomScoreAdj: 100, capabilities: undefined },
      mounts: [],
    });
    const { stdout, stderr } = await box.call("run", box.id);
    expect(stdout.replace(/ +/g, " ")).toBe("0\n 0 100000 1000\nok\n");
    expect(stderr).toContain("/y: Permission denied");
  });

  test("files of a mount belong to whom its mappings say", async () => {
    await using box = await makeBundle();
    mkdirSync(`${box.path}/mapped`);
    writeFileSync(`${box.path}/mapped/file`, "");
    chownSync(`${box.path}/mapped/file`, 5, 6);
    const [uidMappings, gidMappings] = [5, 6].map((containerID) => [{ containerID, hostID: 1000, size: 1 }]);
    const mount = { destination: "/m", source: "mapped", options: ["bind", "idmap"], uidMappings, gidMappings };
    box.configure("stat -c %u:%g /m/file", { mounts: [mount] });
    expect((await box.call("run", box.id)).stdout).toBe("1000:1000\n");
  });

  test.each<[what: string, parts: ConfigParts, words: string]>([
    [
      "a mount namespace by path",
      { linux: { namespaces: [{ type: "mount", path: "/proc/self/ns/mnt" }] } },
      "mount namespace",
    ],
    ["offsets of time", { linux: { timeOffsets: { monotonic: { secs: 1 } } } }, "linux.timeOffsets is not supported"],
    ["Intel RDT", { linux: { intelRdt: { closID: "a" } } }, "linux.intelRdt is not supported"],
    [
      "a seccomp listener",
      { linux: { seccomp: { defaultAction: "SCMP_ACT_ALLOW", listenerPath: "/x" } } },
      "listenerPath",
    ],
    ["an unknown seccomp action", { linux: { seccomp: { defaultAction: "SCMP_ACT_NOTIFY" } } }, "SCMP_ACT_NOTIFY"],
    [
      "mappings of a mount and all below",
      { mounts: [{ destination: "/a", source: "/tmp", options: ["bind", "ridmap"] }] },
      "ridmap",
    ],
    ["a sysctl of the host's", { linux: { sysctl: { "kernel.panic": "1" } } }, "not in a separate kernel namespace"],
    [
      "unified limits with version 1",
      { linux: { resources: { unified: { "memory.high": "1" } } } },
      isV1 ? "unified" : "",
    ],
    ["no arguments", { process: { args: [] } }, "args must not be empty"],
    ["a relative cwd", { process: { cwd: "a" } }, "Cwd must be an absolute path"],
    [
      "a wrong rlimit",
      { process: { rlimits: [{ type: "RLIMIT_X", soft: 1, hard: 1 }] } },
      "wrong rlimit value: RLIMIT_X",
    ],
    [
      "an AppArmor profile where there is none",
      { process: { apparmorProfile: "a" } },
      existsSync("/sys/kernel/security/apparmor") ? "" : "apparmor not supported",
    ],
    ["a number that is a text", { process: { user: { uid: "0" } } }, "process.user.uid is not a whole number"],
    ["a terminal without a socket", { process: { terminal: true } }, "console socket"],
  ])("create refuses %s", async (_, parts, words) => {
    if (words === "") return; // this machine has it
    await using box = await makeBundle();
    box.configure("true", parts);
    const { code, stderr } = await box.call("create", box.id);
    expect([code, stderr]).toEqual([1, expect.stringContaining(words)]);
    expect((await box.call("list", "--quiet")).stdout).toBe("");
  });

  test("a cgroup that others use is not taken", async () => {
    await using box = await makeBundle();
    box.configure("exec sleep 1000");
    await box.start();
    expect((await box.call("create", `${box.id}-other`)).stderr).toContain("container's cgroup is not empty");
    expect(await box.state()).toMatchObject({ status: "running" });
  });

  test("a container whose program cannot run after all has stopped", async () => {
    await using box = await makeBundle();
    writeFileSync(`${box.rootfs}/bin/broken`, "#!/nowhere/sh\n", { mode: 0o755 });
    box.configure("", { process: { args: ["broken"] } });
    const creating = box.spawn("create", box.id);
    expect(await creating.exited).toBe(0);
    expect((await box.call("start", box.id)).stderr).toContain("no such file or directory");
    expect(await box.state()).toMatchObject({ status: "stopped" });
    expect((await box.call("start", box.id)).stderr).toContain("cannot start a container that has stopped");
  });
});
