/** DOCKER_HOST=ssh://: the real docker command, whose ssh is a script that runs on this host what it is told to run on the other. */

import { expect, test } from "bun:test";
import { chmodSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { e2e } from "../support/e2e.ts";
import { makeFolder } from "../support/folder.ts";

const BOSUN = `${process.execPath} ${new URL("../../src/main.ts", import.meta.url).pathname}`;

e2e("engines behind ssh", (engine) => {
  test("docker reaches the engine through system dial-stdio, with input that ends before the output", async () => {
    await using folder = await makeFolder();
    const ssh = join(folder.path, "ssh");
    const { DOCKER_HOST = "" } = engine.daemon.env;
    writeFileSync(
      ssh,
      `#!/bin/sh\necho "$@" >> ${folder.path}/asked\nDOCKER_HOST=${DOCKER_HOST} exec ${BOSUN} system dial-stdio\n`,
    );
    chmodSync(ssh, 0o755);
    const env = { DOCKER_HOST: "ssh://me@elsewhere", PATH: `${folder.path}:${process.env.PATH}` };
    const stdin = "a line\n".repeat(100_000);
    const run = ["run", "-i", "--rm", "busybox", "sh", "-c", "wc -c; exit 3"];
    expect(await engine.dockerWith({ stdin, env }, ...run)).toEqual({ code: 3, stdout: "700000\n", stderr: "" });
    expect(await Bun.file(join(folder.path, "asked")).text()).toMatch(/elsewhere .*docker .*system dial-stdio\n/);
  });
});
