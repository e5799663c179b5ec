/** Engines to measure: ours, and the rivals that are installed. Each has data, sockets and cgroups of its own, in one scratch folder. */

import { mkdirSync, readdirSync, readFileSync } from "node:fs";
import { rm, rmdir } from "node:fs/promises";
import { join } from "node:path";

export interface Engine {
  readonly name: string;
  /** The command that stands for `docker`. */
  readonly cli: readonly string[];
  /** Unix socket of the Docker Engine API; undefined when there is no daemon to ask. */
  readonly socket: string | undefined;
  /** Processes that are there while nothing runs. */
  readonly pids: readonly number[];
  /** Command names of what stays beside each container. */
  readonly shim: RegExp;
  stop(): Promise<void>;
}

const CGROUP_PARENTS = ["bosun-bench", "docker-bench"];

const PATH = `${process.env.PATH}:/usr/sbin:/sbin`;
const which = (name: string): string | null => Bun.which(name, { PATH });

/** A daemon answers when its socket does; dockerd tells nobody, so it has to be asked again. */
async function answers(socket: string, child: Bun.Subprocess): Promise<void> {
  const deadline = Date.now() + 30_000;
  while (Date.now() < deadline && child.exitCode === null) {
    const ok = await fetch("http://d/_ping", { unix: socket }).then(
      (response) => response.ok,
      () => false,
    );
    if (ok) return;
    await Bun.sleep(50);
  }
  throw new Error(`${socket} does not answer`);
}

async function daemon(command: readonly string[], socket: string, log: string): Promise<Bun.Subprocess> {
  const child = Bun.spawn([...command], {
    stdin: "ignore",
    stdout: Bun.file(log),
    stderr: Bun.file(log),
    env: { ...process.env, PATH },
  });
  await answers(socket, child).catch((error) => {
    child.kill();
    throw new Error(`${command[0]} did not start: ${readFileSync(log, "utf8").slice(-500)}`, { cause: error });
  });
  return child;
}

async function end(child: Bun.Subprocess): Promise<void> {
  child.kill();
  await child.exited;
}

/** All processes that descend from one. */
function descendants(pid: number): number[] {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim();
  const below = children === "" ? [] : children.split(" ").map(Number);
  return [pid, ...below.flatMap(descendants)];
}

const docker = which("docker");

async function ours(folder: string): Promise<Engine> {
  const socket = join(folder, "bosun.sock");
  const child = await daemon(
    [
      ...[process.execPath, new URL("../src/main.ts", import.meta.url).pathname, "daemon", "-H", `unix://${socket}`],
      ...["--data-root", join(folder, "bosun"), "--exec-root", join(folder, "bosun-run")],
      ...["--pidfile", join(folder, "bosun.pid"), "--bridge", "bosunbench0", "--cgroup-parent", "/bosun-bench"],
    ],
    socket,
    join(folder, "bosun.log"),
  );
  const main = new URL("../src/main.ts", import.meta.url).pathname;
  return {
    name: "bosun",
    cli: docker ? [docker, "-H", `unix://${socket}`] : [process.execPath, main, "-H", `unix://${socket}`],
    socket,
    pids: [child.pid],
    shim: /bosun-shim/,
    stop: () => end(child),
  };
}

async function dockerd(folder: string, docker: string): Promise<Engine> {
  const socket = join(folder, "docker.sock");
  const program = which("dockerd") ?? "dockerd";
  const child = await daemon(
    [
      ...[
        program,
        "-H",
        `unix://${socket}`,
        "--data-root",
        join(folder, "docker"),
        "--exec-root",
        join(folder, "docker-run"),
      ],
      ...["--pidfile", join(folder, "docker.pid"), "--bridge", "none", "--iptables=false", "--ip6tables=false"],
      ...["--ip-forward=false", "--cgroup-parent", "/docker-bench", "--config-file", join(folder, "none.json")],
    ],
    socket,
    join(folder, "docker.log"),
  );
  return {
    name: "dockerd",
    cli: [docker, "-H", `unix://${socket}`],
    socket,
    pids: descendants(child.pid),
    shim: /containerd-shim/,
    stop: () => end(child),
  };
}

/**
 * Its default limits of open files and processes are above what a root without CAP_SYS_RESOURCE may set: it gets the limits that we have.
 * @throws Error when it does not even say its version
 */
async function podman(folder: string, program: string): Promise<Engine> {
  const limits = readFileSync("/proc/self/limits", "utf8");
  const hard = (name: string) => new RegExp(`^Max ${name}\\s+\\S+\\s+(\\d+)`, "m").exec(limits)?.[1] ?? "1024";
  const [files, processes] = [hard("open files"), hard("processes")];
  const conf = join(folder, "containers.conf");
  await Bun.write(
    conf,
    `[containers]\ndefault_ulimits = ["nofile=${files}:${files}", "nproc=${processes}:${processes}"]\n`,
  );
  const store = ["--root", join(folder, "podman"), "--runroot", join(folder, "podman-run")];
  const engine = {
    name: "podman",
    cli: ["env", `CONTAINERS_CONF=${conf}`, program, ...store, "--cgroup-manager", "cgroupfs"],
    socket: undefined,
    pids: [],
    shim: /conmon/,
    stop: async () => {},
  };
  await run(engine, "--version");
  return engine;
}

/** @param wanted  names; empty for all that are there. @returns ours first */
export async function openEngines(folder: string, wanted: readonly string[]): Promise<Engine[]> {
  mkdirSync(folder, { recursive: true });
  await Bun.write(join(folder, "none.json"), "{}");
  const engines = [await ours(folder)];
  const skip = (name: string, reason: unknown) =>
    console.log(`(${name} is not measured: ${reason instanceof Error ? reason.message : reason})`);
  for (const name of ["dockerd", "podman"]) {
    if (wanted.length > 0 && !wanted.includes(name)) continue;
    const program = which(name);
    if (!program || (name === "dockerd" && !docker)) skip(name, "not installed");
    else if (name === "podman")
      await podman(folder, program).then(
        (engine) => engines.push(engine),
        (error) => skip(name, error),
      );
    else if (docker)
      await dockerd(folder, docker).then(
        (engine) => engines.push(engine),
        (error) => skip(name, error),
      );
  }
  return engines;
}

/** Also after a failure: containers that a bench left are removed, so that nothing stays mounted. */
export async function closeEngines(engines: readonly Engine[], folder: string): Promise<void> {
  for (const engine of engines) {
    const ids = await run(engine, "ps", "-aq").catch(() => "");
    if (ids.trim() !== "")
      await run(engine, "rm", "-f", ...ids.trim().split("\n")).catch((error) => console.log(error));
    await engine.stop();
  }
  await rm(folder, { recursive: true, force: true });
  for (const tree of readdirSync("/sys/fs/cgroup"))
    for (const parent of CGROUP_PARENTS) await rmdir(join("/sys/fs/cgroup", tree, parent)).catch(() => {}); // not made, or no tree
}

/** @throws Error with the command's own words when it fails */
export async function run(engine: Engine, ...args: string[]): Promise<string> {
  const child = Bun.spawn([...engine.cli, ...args], {
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
    env: { ...process.env, PATH },
  });
  const [out, err, code] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
  if (code !== 0) throw new Error(`${engine.name} ${args.join(" ")}: exit code ${code}\n${err}`);
  return out;
}
