/** Engines to measure: ours, and the rivals that are there. Each has data, sockets and cgroups of its own, in one scratch folder. */

import { mkdirSync, readdirSync, readFileSync } from "node:fs";
import { rm, rmdir } from "node:fs/promises";
import { basename, join } from "node:path";
import { type Engine, PATH, run } from "./engine.ts";
import { descendants } from "./measure.ts";
import { Pen } from "./pen.ts";
import { Tree } from "./tree.ts";

export const RIVALS = ["dockerd", "dockerd-containerd", "podman"] as const;
type Rival = (typeof RIVALS)[number];

const CGROUP_PARENTS = ["bosun-bench", "docker-bench"];

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
    detached: true, // ^C is for us: we end it when its containers are gone
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

/** Where an engine lives, and where the rivals' programs come from. */
interface Place {
  readonly folder: string;
  /** What is forgotten with a boot is in memory, as at home. */
  readonly runs: string;
  readonly tree: Tree | undefined;
  /** Its own networks; undefined for the host's, which it then leaves as they are. */
  readonly pen: Pen | undefined;
  readonly ending: AbortSignal;
}

const inPen = ({ pen }: Place, words: readonly string[]): readonly string[] => pen?.inside(...words) ?? words;

const docker = which("docker");
const MAIN = new URL("../src/main.ts", import.meta.url).pathname;

async function ours(place: Place): Promise<Engine> {
  const { folder, runs, pen, ending } = place;
  const socket = join(folder, "bosun.sock");
  const words = [
    ...[process.execPath, MAIN, "daemon", "-H", `unix://${socket}`],
    ...["--data-root", join(folder, "bosun"), "--exec-root", join(runs, "bosun")],
    ...["--pidfile", join(folder, "bosun.pid"), "--cgroup-parent", "/bosun-bench"],
    ...(pen ? [] : ["--bridge", "none"]),
  ];
  const child = await daemon(inPen(place, words), socket, join(folder, "bosun.log"));
  return {
    name: "bosun",
    cli: docker ? [docker, "-H", `unix://${socket}`] : [process.execPath, MAIN, "-H", `unix://${socket}`],
    socket,
    pids: [child.pid],
    shim: /bosun-shim/,
    insecure: [],
    pen,
    ending,
    stop: () => end(child),
  };
}

const WITHOUT_NETWORKS = ["--bridge", "none", "--iptables=false", "--ip6tables=false", "--ip-forward=false"];

async function dockerd(place: Place, name: Rival): Promise<Engine> {
  const { folder, runs, tree, pen, ending } = place;
  if (!docker) throw new Error("there is no docker client");
  const at = (file: string) => join(folder, `${name}${file}`);
  await Bun.write(at(".json"), "{}");
  const store = name === "dockerd-containerd" ? ["--feature", "containerd-snapshotter=true"] : [];
  const words = [
    ...["dockerd", "-H", `unix://${at(".sock")}`, "--data-root", at(""), "--exec-root", join(runs, name)],
    ...["--pidfile", at(".pid"), ...(pen ? [] : WITHOUT_NETWORKS)],
    ...["--cgroup-parent", "/docker-bench", "--config-file", at(".json"), ...store],
  ];
  const child = await daemon(inPen(place, tree?.command(...words) ?? words), at(".sock"), at(".log"));
  return {
    name,
    cli: [docker, "-H", `unix://${at(".sock")}`],
    socket: at(".sock"),
    pids: descendants(child.pid),
    shim: /containerd-shim/,
    insecure: [],
    pen,
    ending,
    stop: () => end(child),
  };
}

/**
 * Its default limits of open files and processes are above what a root without CAP_SYS_RESOURCE may set: it gets the limits that we have.
 * @throws Error when it does not even say its version
 */
async function podman(place: Place): Promise<Engine> {
  const { folder, runs, tree, pen, ending } = place;
  const limits = readFileSync("/proc/self/limits", "utf8");
  const hard = (name: string) => new RegExp(`^Max ${name}\\s+\\S+\\s+(\\d+)`, "m").exec(limits)?.[1] ?? "1024";
  const [files, processes] = [hard("open files"), hard("processes")];
  const conf = join(folder, "containers.conf");
  const ulimits = `["nofile=${files}:${files}", "nproc=${processes}:${processes}"]`;
  await Bun.write(conf, `[containers]\ndefault_ulimits = ${ulimits}\n`);
  const words = [
    ...["podman", "--root", join(folder, "podman"), "--runroot", join(runs, "podman")],
    ...["--cgroup-manager", "cgroupfs", ...(tree?.has("crun") ? ["--runtime", "crun"] : [])],
  ];
  const engine: Engine = {
    name: "podman",
    cli: inPen(place, tree?.command(...words) ?? words),
    env: { CONTAINERS_CONF_OVERRIDE: conf, CONTAINERS_CONF: conf, PODMAN_IGNORE_CGROUPSV1_WARNING: "1" },
    socket: undefined,
    pids: [],
    shim: /conmon/,
    insecure: ["--tls-verify=false"],
    pen,
    ending,
    stop: async () => {},
  };
  await run(engine, "--version");
  return engine;
}

async function rival(name: Rival, place: Place): Promise<Engine> {
  const program = name === "podman" ? "podman" : "dockerd";
  if (!(place.tree ? place.tree.has(program) : which(program))) throw new Error("not installed");
  return name === "podman" ? podman(place) : dockerd(place, name);
}

export interface EnginesOptions {
  readonly folder: string;
  readonly rivals: readonly string[];
  /** A debootstrapped Debian that has the rivals' programs; the host's own unless given. */
  readonly tree: string | undefined;
  /** Each engine in a network namespace of its own, where it may do as it likes; else they leave the host's networks alone. */
  readonly apart: boolean;
}

/** What is measured, ours first. Disposing of it removes containers that a bench left, so that nothing stays mounted, and ends the engines. */
export class Engines implements AsyncDisposable {
  readonly all: Engine[] = [];
  readonly #stack = new AsyncDisposableStack();
  readonly #ending = new AbortController();

  private constructor(readonly folder: string) {}

  /** @throws Error when ours does not start. Of a rival that does not, the reason is told */
  static async open({ folder, rivals, tree: path, apart }: EnginesOptions): Promise<Engines> {
    mkdirSync(folder, { recursive: true });
    await using undo = new AsyncDisposableStack();
    const engines = undo.use(new Engines(folder));
    const stack = engines.#stack;
    const runs = join("/run", basename(folder));
    stack.defer(() => rm(runs, { recursive: true, force: true }));
    const tree = path === undefined ? undefined : stack.use(await Tree.open(path, folder));
    const { signal: ending } = engines.#ending;
    const place = async () => ({ folder, runs, tree, pen: apart ? stack.use(await Pen.open()) : undefined, ending });
    engines.all.push(await ours(await place()));
    for (const name of RIVALS.filter((one) => rivals.includes(one)))
      await rival(name, await place()).then(
        (engine) => engines.all.push(engine),
        (error) => console.log(`(${name} is not measured: ${error instanceof Error ? error.message : error})`),
      );
    undo.move();
    return engines;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#ending.abort(new Error("the bench is over"));
    const { signal: never } = new AbortController();
    for (const engine of this.all.map((one) => ({ ...one, ending: never }))) {
      const ids = (await run(engine, "ps", "-aq").catch(() => "")).trim();
      if (ids !== "") await run(engine, "rm", "-f", ...ids.split("\n")).catch((error) => console.log(error));
      await engine.stop();
    }
    await this.#stack.disposeAsync();
    await rm(this.folder, { recursive: true, force: true });
    for (const hierarchy of readdirSync("/sys/fs/cgroup"))
      for (const parent of CGROUP_PARENTS) await rmdir(join("/sys/fs/cgroup", hierarchy, parent)).catch(() => {}); // not made, or no hierarchy
  }
}
