/** Confinement by AppArmor, on hosts that have it: see test/support/machine.ts for one. */

import { afterAll, expect, test } from "bun:test";
import { AppArmor } from "../../src/runtime/apparmor.ts";
import { e2e } from "../support/e2e.ts";

const host = new AppArmor();
const OWN = "bosun-test-own";

/** @param flag  `--replace` or `--remove` */
const parse = (flag: string) =>
  Bun.spawnSync([host.parser ?? "", flag, "--skip-cache"], {
    stdin: Buffer.from(`profile ${OWN} flags=(attach_disconnected,mediate_deleted) { file, deny /secret r, signal, }`),
  }).exitCode;

if (!host.isEnabled) test.skip("containers are confined by AppArmor", () => {});
else
  e2e("AppArmor", ({ ok, docker, inspect }) => {
    const current = (...flags: string[]) => ok("run", "--rm", ...flags, "busybox", "cat", "/proc/self/attr/current");
    afterAll(() => void parse("--remove"));

    test("containers have Docker's profile, which inspect and info tell", async () => {
      expect(await current()).toBe("docker-default (enforce)");
      expect(await current("--security-opt", "no-new-privileges", "--user", "1000")).toBe("docker-default (enforce)");
      expect(await current("--init")).toBe("docker-default (enforce)");
      const id = await ok("create", "busybox", "true");
      expect(await inspect(id, "{{.AppArmorProfile}}")).toBe("docker-default");
      expect(await ok("info", "-f", "{{json .SecurityOptions}}")).toContain('"name=apparmor"');
    });

    test("privileged ones have none, and whoever asks for none", async () => {
      expect(await current("--privileged")).toBe("unconfined");
      expect(await current("--security-opt", "apparmor=unconfined")).toBe("unconfined");
      expect(await current("--privileged", "--security-opt", "apparmor=docker-default")).toBe(
        "docker-default (enforce)",
      );
    });

    test("execs have their container's, unless they are privileged", async () => {
      const id = await ok("run", "-d", "busybox", "sleep", "1000");
      expect(await ok("exec", id, "cat", "/proc/self/attr/current")).toBe("docker-default (enforce)");
      expect(await ok("exec", "--privileged", id, "cat", "/proc/self/attr/current")).toBe("unconfined");
      await ok("kill", "-s", "KILL", id);
      await ok("rm", "-f", id);
    });

    test("what belongs to the whole machine stays out of reach of all capabilities", async () => {
      const script =
        "mkdir /m; mount -t tmpfs none /m; mount -t proc none /m; echo 1 > /proc/sys/kernel/panic; head -c 1 /proc/kcore";
      const flags = ["--privileged", "--security-opt", "apparmor=docker-default"];
      const { stderr } = await docker("run", "--rm", ...flags, "busybox", "sh", "-c", script);
      expect(stderr.match(/[Pp]ermission denied/g)?.length).toBe(4);
      expect(
        await ok("run", "--rm", "busybox", "sh", "-c", "echo x > /x; cat /x; ping -c 1 127.0.0.1 > /dev/null; echo $?"),
      ).toBe("x\n0");
    });

    test("a profile of the user's decides, once it is loaded", async () => {
      const flags = ["--security-opt", `apparmor=${OWN}`];
      const { code, stderr } = await docker("run", "--rm", ...flags, "busybox", "true");
      expect([code, stderr]).toEqual([125, expect.stringContaining(`AppArmor profile "${OWN}" is not loaded`)]);
      expect(parse("--replace")).toBe(0);
      const script = "echo x > /secret; cat /proc/self/attr/current; cat /secret";
      expect((await docker("run", "--rm", ...flags, "busybox", "sh", "-c", script)).stdout).toBe(`${OWN} (enforce)\n`);
    });
  });
