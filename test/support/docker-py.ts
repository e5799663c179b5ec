/**
 * docker-py's view of the engine: runs tests that are written in Python against a daemon of its own, whose `busybox` and `alpine` are the host's busybox.
 *
 *   bun test/support/docker-py.ts                                       ours, of ./docker-py
 *   bun test/support/docker-py.ts ~/docker-py/tests/integration -k exec docker-py's own, from a checkout; then what pytest takes
 *
 * Of docker-py's own, those that build, pull, or want a swarm or plugins of a registry cannot pass.
 */

import { folder, symlink } from "../../bench/fixture/tar.ts";
import { dockerArchive } from "./archive.ts";
import { furnishedImage, opinionatedImage } from "./busybox.ts";
import { TestDaemon } from "./daemon.ts";

const OURS = new URL("docker-py", import.meta.url).pathname;

const QUICK = ["TestCreate", "TestMounts", "TestArchive", "TestExec", "TestAttach", "TestLogs", "TestImages"];

/** The Python that has both: Debian's, or the one in the way. */
export const python = ["/usr/bin/python3", "python3"].find(
  (name) => Bun.which(name) && Bun.spawnSync([name, "-c", "import docker, pytest"]).exitCode === 0,
);

export interface PytestResult {
  readonly code: number;
  readonly output: string;
}

/** @param args  of pytest. @throws Error when there is no Python with docker-py and pytest */
export async function pytest(daemon: TestDaemon, args: readonly string[]): Promise<PytestResult> {
  if (!python) throw new Error("Cannot ask docker-py: it is not installed (Debian: python3-docker, python3-pytest)");
  const flags = ["-p", "no:cacheprovider", `--basetemp=${daemon.path("pytest")}`, "-q", "--tb=short"];
  const child = Bun.spawn([python, "-m", "pytest", ...flags, ...args], {
    env: { ...daemon.env, PYTHONDONTWRITEBYTECODE: "1" },
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  const [out, err, code] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
  return { code, output: `${out}${err}` };
}

/** What docker-py's own find in the images that they would pull. */
export function publicImages(): Uint8Array {
  const more = [folder("opt/"), symlink("bin/nslookup", "busybox"), symlink("bin/top", "busybox")];
  return dockerArchive([
    { image: furnishedImage(more), tags: ["busybox:latest", "alpine:latest", "alpine:3.10"] },
    { image: opinionatedImage(), tags: ["hello-world:latest"] },
  ]);
}

/** Those of ours that need nothing of the host that others may have, as ports and subnets, and are quick. */
export const quickTests = (daemon: TestDaemon): Promise<PytestResult> =>
  pytest(daemon, [OURS, "-k", QUICK.join(" or ")]);

async function main([folder = OURS, ...args]: readonly string[]): Promise<number> {
  await using daemon = await TestDaemon.start();
  const headers = { "Content-Type": "application/x-tar" };
  await (await daemon.api("/images/load", { method: "POST", body: publicImages(), headers })).text();
  const { code, output } = await pytest(daemon, [folder, ...args]);
  console.log(output);
  return code;
}

if (import.meta.main) process.exit(await main(process.argv.slice(2)));
