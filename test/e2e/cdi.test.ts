/** CDI: devices by a vendor's name, from files that lie about as a driver's installation leaves them. */

import { afterAll, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { e2e } from "../support/e2e.ts";

const folder = mkdtempSync(join(tmpdir(), "bosun-cdi-"));
afterAll(() => rmSync(folder, { recursive: true }));
const [weak, strong] = [join(folder, "etc"), join(folder, "run")];
mkdirSync(weak);
mkdirSync(strong);

const YAML = `---
cdiVersion: "0.6.0"
kind: nvidia.com/gpu
devices:
- name: "0"
  containerEdits:
    deviceNodes:
    - path: /dev/graphics
      hostPath: /dev/full
      permissions: rw
      fileMode: 416
      uid: 33
      gid: 44
- name: "hooked"
  containerEdits:
    hooks:
    - hookName: createContainer
      path: ${folder}/hook
      args: [hook, --link, /lib/driver.so]
      env: [WORD=of the vendor]
- name: "failing"
  containerEdits:
    hooks:
    - hookName: createContainer
      path: /bin/sh
      args: [sh, -c, "echo no such card >&2; exit 3"]
- name: "late"
  containerEdits:
    hooks:
    - hookName: poststop
      path: /bin/true
containerEdits:
  env:
  - DRIVER=weak
  additionalGids: [4321]
  mounts:
  - hostPath: ${weak}
    containerPath: /driver
    options: [ro, nosuid, nodev, rbind]
`;

const json = (kind: string, name: string, env: string) =>
  JSON.stringify({ cdiVersion: "1.0.0", kind, devices: [{ name, containerEdits: { env: [env] } }] });

/** As vendors' do: the state on stdin names a bundle, whose configuration names the root. */
const HOOK = `#!/usr/bin/python3
import json, os, sys
state = json.load(sys.stdin)
root = json.load(open(os.path.join(state["bundle"], "config.json")))["root"]["path"]
os.symlink(sys.argv[2], os.path.join(root, "linked"))
open(os.path.join(root, "told"), "w").write(state["status"] + " " + os.environ["WORD"])
`;
writeFileSync(join(folder, "hook"), HOOK, { mode: 0o755 });
writeFileSync(join(weak, "nvidia.yaml"), YAML);
writeFileSync(join(weak, "other.json"), json("vendor.com/thing", "one", "THING=weak"));
writeFileSync(join(strong, "other.json"), json("vendor.com/thing", "one", "THING=strong"));
writeFileSync(join(weak, "twice-a.json"), json("vendor.com/twice", "x", "A=1"));
writeFileSync(join(weak, "twice-b.json"), json("vendor.com/twice", "x", "A=2"));
writeFileSync(join(weak, "broken.json"), "{");

e2e(
  "cdi",
  (engine) => {
    const { docker, ok, sh, inspect } = engine;

    test("a vendor's hook prepares the root before the program starts", async () => {
      const run = [
        "run",
        "--rm",
        "--device",
        "nvidia.com/gpu=hooked",
        "busybox",
        "sh",
        "-c",
        "readlink /linked; cat /told",
      ];
      expect(await ok(...run)).toBe("/lib/driver.so\ncreating of the vendor");
    });

    test("--device vendor.com/class=name gives nodes, mounts, environment and groups", async () => {
      const script = "stat -c '%a %u %g %t:%T' /dev/graphics; echo $DRIVER; id -G; ls /driver; touch /driver/x || true";
      const { stdout, stderr } = await docker(
        ...["run", "--rm", "--device", "nvidia.com/gpu=0", "busybox", "sh", "-c", script],
      );
      const [node, driver, groups, ...files] = stdout.trim().split("\n");
      expect([node, driver, groups?.split(" ").at(-1)]).toEqual(["640 33 44 1:7", "weak", "4321"]);
      expect(files).toContain("nvidia.yaml");
      expect(stderr).toContain("Read-only file system");
    });

    test("the cgroup allows what the file says", async () => {
      const read = "head -c1 /dev/graphics | wc -c";
      expect(await sh(read, "--device", "nvidia.com/gpu=0")).toBe("1");
    });

    test("a later directory is stronger, and info lists what there is", async () => {
      expect(await sh("echo $THING", "--device", "vendor.com/thing=one")).toBe("strong");
      const { CDISpecDirs, DiscoveredDevices } = JSON.parse(await ok("info", "-f", "{{json .}}"));
      expect(CDISpecDirs).toEqual([weak, strong]);
      const { DiscoveredDevices: found } = await engine.daemon.json<{ DiscoveredDevices: { ID: string }[] }>("/info");
      expect(DiscoveredDevices ?? found).toEqual(found);
      expect(found).toEqual(
        [
          "nvidia.com/gpu=0",
          "nvidia.com/gpu=failing",
          "nvidia.com/gpu=hooked",
          "nvidia.com/gpu=late",
          "vendor.com/thing=one",
        ].map((ID) => ({ Source: "cdi", ID })),
      );
    });

    test("--gpus finds the vendor's devices", async () => {
      expect(await sh("echo $DRIVER", "--gpus", "1")).toBe("weak");
      expect(await sh("echo $DRIVER", "--gpus", '"device=0"')).toBe("weak");
      const id = await ok("create", "--gpus", "all", "busybox");
      expect(await inspect(id, "{{(index .HostConfig.DeviceRequests 0).Count}}")).toBe("-1");
    });

    test.each([
      [["--device", "vendor.com/thing=two"], "unresolvable CDI devices vendor.com/thing=two"],
      [["--device", "vendor.com/twice=x"], "in several files of one directory"],
      [["--device", "nvidia.com/gpu=late"], "poststop hooks cannot be applied by this engine"],
      [["--device", "nvidia.com/gpu=failing"], "no such card"],
      [["--gpus", "driver=tpu"], 'could not select device driver "tpu" with capabilities: [[gpu]]'],
    ])("run %p is refused in words", async (flags, words) => {
      const { code, stderr } = await docker("run", "--rm", ...flags, "busybox", "true");
      expect(stderr).toContain(words);
      expect(code).toBe(125);
    });
  },
  ["--cdi-spec-dir", weak, "--cdi-spec-dir", strong],
);
