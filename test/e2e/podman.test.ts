/** Podman with our runtime in the place of its own: images, networks and the supervision of processes (conmon) are not ours. */

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { join } from "node:path";
import { type Folder, makeFolder } from "../support/folder.ts";
import { makeBundle, OWN_RUNTIME } from "../support/oci.ts";

const hasPodman = Bun.which("podman") !== null && Bun.which("conmon") !== null;

interface Ran {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

describe.skipIf(!hasPodman)("podman --runtime bosun-runtime", () => {
  let folder: Folder;
  const podman = async (...words: readonly string[]): Promise<Ran> => {
    const places = ["root", "runroot", "tmpdir"].flatMap((name) => [`--${name}`, join(folder.path, name)]);
    const settings = ["--cgroup-manager", "cgroupfs", "--events-backend", "none", "--storage-driver", "vfs"];
    const runtime = ["--runtime", OWN_RUNTIME, "--runtime-flag", `root=${join(folder.path, "state")}`];
    const command = ["podman", ...places, ...settings, ...runtime, ...words];
    const child = Bun.spawn(command, { stdin: Buffer.from("typed\n"), stdout: "pipe", stderr: "pipe" });
    const [stdout, stderr, code] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
    return { code, stdout, stderr };
  };
  /** Limits that Podman would raise are the machine's. */
  const run = (...words: readonly string[]) =>
    podman("run", "--network", "none", "--ulimit", "nofile=1000:1000", "--ulimit", "nproc=1000:1000", ...words);

  beforeAll(async () => {
    folder = await makeFolder();
    await using box = await makeBundle();
    const tar = join(folder.path, "root.tar");
    Bun.spawnSync(["tar", "-C", box.rootfs, "-cf", tar, "."]);
    expect(await podman("import", tar, "box:1")).toMatchObject({ code: 0 });
  });

  afterAll(async () => {
    await podman("rm", "--all", "--force", "--time", "0");
    await folder[Symbol.asyncDispose]();
  });

  test("run, with limits, a tmpfs and another user", async () => {
    const script = "id -u; cat; cat /proc/self/limits | grep 'open files'; touch /srv/x; touch /nosuch/x; exit 4";
    const options = ["--rm", "-i", "--user", "1000", "--memory", "64m", "--tmpfs", "/srv:mode=777"];
    const { code, stdout, stderr } = await run(...options, "box:1", "sh", "-c", script);
    expect(stdout.replace(/ +/g, " ")).toBe("1000\ntyped\nMax open files 1000 1000 files \n");
    expect([stderr.trim(), code]).toEqual(["touch: /nosuch/x: No such file or directory", 4]);
  });

  test("exec, pause, stop and rm of one that runs", async () => {
    expect(
      await run(
        "-d",
        "--name",
        "one",
        "box:1",
        "sh",
        "-c",
        "trap 'exit 3' TERM; touch /tmp/up; while :; do sleep 0.01; done",
      ),
    ).toMatchObject({ code: 0 });
    const whenUp = "until [ -e /tmp/up ]; do sleep 0.01; done"; // the trap stands then
    expect(await podman("exec", "one", "sh", "-c", `${whenUp}; hostname > /tmp/x; exit 5`)).toMatchObject({ code: 5 });
    expect(await podman("exec", "one", "nosuch")).toMatchObject({ code: 127 });
    expect(await podman("pause", "one")).toMatchObject({ code: 0 });
    expect((await podman("inspect", "-f", "{{.State.Status}}", "one")).stdout).toBe("paused\n");
    expect(await podman("unpause", "one")).toMatchObject({ code: 0 });
    expect(await podman("stop", "one")).toMatchObject({ code: 0 });
    expect((await podman("inspect", "-f", "{{.State.Status}} {{.State.ExitCode}}", "one")).stdout).toBe("exited 3\n");
    expect(await podman("rm", "one")).toMatchObject({ code: 0 });
  });

  test.each([
    ["nosuch", 127],
    ["/etc/passwd", 126],
  ])("run tells that %s is no program", async (program, code) => {
    expect(await run("--rm", "box:1", program)).toMatchObject({ code });
  });

  test("run -t has a terminal", async () => {
    expect((await run("--rm", "-t", "box:1", "tty")).stdout).toBe("/dev/pts/0\r\n");
  });

  test("run with users of its own", async () => {
    const { stdout } = await run(
      "--rm",
      "--uidmap",
      "0:100000:1000",
      "box:1",
      "sh",
      "-c",
      "id -u; cat /proc/self/uid_map",
    );
    expect(stdout.replace(/ +/g, " ")).toBe("0\n 0 100000 1000\n");
  });
});
