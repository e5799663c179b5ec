/** The commands by name: their options, and what they do. Source: runc(8) and its pages, whose command line this is. */

import { existsSync, writeFileSync, writeSync } from "node:fs";
import { join, resolve } from "node:path";
import { conflict, invalid, kindOf } from "../base/errors.ts";
import type { Handover } from "../runtime/handover.ts";
import { signalNumber } from "../runtime/signals.ts";
import { forwardSignals, processIo } from "./calling.ts";
import type { CreateOptions } from "./create.ts";
import type { Flag, Parsed } from "./flags.ts";
import type { Lifecycle } from "./lifecycle.ts";
import { describe, events, listContainers, listProcesses } from "./looking.ts";
import { UPDATE_FLAGS, update } from "./update.ts";

export interface Command {
  /** Arguments, for the usage: `<container-id>`. */
  readonly usage: string;
  readonly help: string;
  readonly flags: readonly Flag[];
  /** Of arguments. */
  readonly least: number;
  readonly most: number;
  /** @returns the exit code */
  run(lifecycle: Lifecycle, flags: Parsed): Promise<number>;
}

const say = (text: string): number => {
  writeSync(1, text);
  return 0;
};
const sayJson = (value: unknown): number => say(`${JSON.stringify(value, undefined, 2)}\n`);

const ID = { usage: "<container-id>", least: 1, most: 1 };
const idOf = ({ args: [id = ""] }: Parsed): string => id;

const CREATE_FLAGS: readonly Flag[] = [
  { name: "bundle", short: "b", value: "DIR", help: "the bundle; the current directory by default" },
  { name: "console-socket", value: "PATH", help: "unix socket that takes the terminal's master" },
  { name: "pid-file", value: "FILE", help: "file that gets the process's id" },
  { name: "no-pivot", help: "move the root instead of pivot_root, for where / is an initramfs" },
  { name: "preserve-fds", value: "N", help: "how many descriptors from 3 on the container gets" },
  { name: "no-new-keyring", help: "no session keyring is made in any case" },
];

const createOptions = (flags: Parsed, stay: boolean): CreateOptions => ({
  ...processIo(flags, stay),
  bundle: flags.text("bundle") ?? ".",
  noPivot: flags.has("no-pivot"),
});

async function makeContainer(lifecycle: Lifecycle, flags: Parsed, stay: boolean): Promise<Handover> {
  const { create } = await import("./create.ts"); // the larger half of all that is here
  return create(lifecycle, idOf(flags), createOptions(flags, stay));
}

async function run(lifecycle: Lifecycle, flags: Parsed): Promise<number> {
  const id = idOf(flags);
  const stay = !flags.has("detach");
  const forwardTo = stay ? forwardSignals() : undefined;
  const shim = await makeContainer(lifecycle, flags, stay);
  try {
    await lifecycle.start(id);
  } catch (error) {
    await lifecycle.delete(id, true);
    throw error;
  }
  if (!stay) return 0;
  forwardTo?.(lifecycle.states.load(id).pid);
  const code = await shim.exited;
  if (!flags.has("keep")) await lifecycle.delete(id, true);
  return code;
}

async function remove(lifecycle: Lifecycle, flags: Parsed): Promise<number> {
  try {
    await lifecycle.delete(idOf(flags), flags.has("force"));
  } catch (error) {
    if (!(flags.has("force") && kindOf(error) === "notFound")) throw error;
  }
  return 0;
}

async function setFrozen(lifecycle: Lifecycle, flags: Parsed, frozen: boolean): Promise<number> {
  const { cgroups } = lifecycle;
  const record = frozen
    ? await lifecycle.require(
        idOf(flags),
        (status) => status === "running" || status === "created",
        "container not running",
      )
    : await lifecycle.require(idOf(flags), (status) => status === "paused", "container not paused");
  await (frozen ? cgroups.freeze(record.cgroup) : cgroups.thaw(record.cgroup));
  return 0;
}

async function tellEvents({ states, cgroups }: Lifecycle, flags: Parsed): Promise<number> {
  const seconds = Number(/^(\d+)s?$/.exec(flags.text("interval") ?? "5s")?.[1] ?? 0);
  if (seconds <= 0) throw invalid("duration interval must be greater than 0");
  const options = { statsOnly: flags.has("stats"), intervalMs: seconds * 1000 };
  for await (const line of events(states, cgroups, idOf(flags), options)) say(line);
  return 0;
}

async function writeSpec(flags: Parsed): Promise<number> {
  const { exampleConfig } = await import("./spec.ts");
  if (flags.has("rootless")) throw invalid("a configuration for rootless containers is not supported");
  const path = join(resolve(flags.text("bundle") ?? "."), "config.json");
  if (existsSync(path)) throw conflict(`File config.json exists. Remove it first`);
  writeFileSync(path, `${JSON.stringify(exampleConfig(), undefined, "\t")}\n`);
  return 0;
}

const EXEC_FLAGS: readonly Flag[] = [
  { name: "process", short: "p", value: "FILE", help: "the process as JSON" },
  { name: "console-socket", value: "PATH", help: "unix socket that takes the terminal's master" },
  { name: "pid-file", value: "FILE", help: "file that gets the process's id" },
  { name: "detach", short: "d", help: "do not wait for its end" },
  { name: "tty", short: "t", help: "give it a terminal" },
  { name: "cwd", value: "DIR", help: "working directory" },
  { name: "env", short: "e", value: "NAME=VALUE", many: true, help: "a variable of its environment" },
  { name: "user", short: "u", value: "UID[:GID]", help: "who it is" },
  { name: "additional-gids", short: "g", value: "GID", many: true, help: "a further group" },
  { name: "cap", short: "c", value: "CAP", many: true, help: "a further capability" },
  { name: "no-new-privs", help: "it can gain no privileges" },
  { name: "process-label", value: "LABEL", help: "of SELinux" },
  { name: "apparmor", value: "PROFILE", help: "of AppArmor" },
  { name: "preserve-fds", value: "N", help: "how many descriptors from 3 on it gets" },
  { name: "cgroup", value: "PATH", help: "cgroup below the container's" },
  { name: "ignore-paused", help: "also in a container that is paused" },
];

export const COMMANDS: Readonly<Record<string, Command>> = {
  create: {
    ...ID,
    help: "make a container, whose program waits for start",
    flags: CREATE_FLAGS,
    run: async (lifecycle, flags) => {
      await makeContainer(lifecycle, flags, false);
      return 0;
    },
  },
  start: {
    ...ID,
    help: "run the program of a container that was created",
    flags: [],
    run: async (lifecycle, flags) => {
      await lifecycle.start(idOf(flags));
      return 0;
    },
  },
  run: {
    ...ID,
    help: "create, start, wait and delete",
    flags: [
      ...CREATE_FLAGS,
      { name: "detach", short: "d", help: "do not wait for its end" },
      { name: "keep", help: "do not delete it at its end" },
    ],
    run,
  },
  state: {
    ...ID,
    help: "tell the state of a container",
    flags: [],
    run: async ({ states, cgroups }, flags) => sayJson(await describe(states, cgroups, states.load(idOf(flags)))),
  },
  kill: {
    usage: "<container-id> [signal]",
    least: 1,
    most: 2,
    help: "send a signal, SIGTERM by default",
    flags: [{ name: "all", short: "a", help: "to all of its processes" }],
    run: async (lifecycle, flags) => {
      await lifecycle.kill(idOf(flags), signalNumber(flags.args[1] ?? "SIGTERM"), flags.has("all"));
      return 0;
    },
  },
  delete: {
    ...ID,
    help: "forget a container that has stopped",
    flags: [{ name: "force", short: "f", help: "kill it first, and say nothing when there is none" }],
    run: remove,
  },
  exec: {
    usage: "<container-id> <command> [arguments…]",
    least: 1,
    most: Number.POSITIVE_INFINITY,
    help: "run a further process in a container",
    flags: EXEC_FLAGS,
    run: async (lifecycle, flags) => (await import("./exec.ts")).exec(lifecycle, flags),
  },
  ps: {
    usage: "<container-id> [ps options]",
    least: 1,
    most: Number.POSITIVE_INFINITY,
    help: "list the processes of a container",
    flags: [{ name: "format", short: "f", value: "FORMAT", help: "table or json" }],
    run: async ({ states, cgroups }, flags) =>
      say(await listProcesses(states, cgroups, idOf(flags), flags.text("format") ?? "table", flags.args.slice(1))),
  },
  pause: { ...ID, help: "stop all processes", flags: [], run: (lifecycle, flags) => setFrozen(lifecycle, flags, true) },
  resume: { ...ID, help: "let them go on", flags: [], run: (lifecycle, flags) => setFrozen(lifecycle, flags, false) },
  update: {
    ...ID,
    help: "change what a container may take",
    flags: UPDATE_FLAGS,
    run: async (lifecycle, flags) => {
      await update(lifecycle, flags);
      return 0;
    },
  },
  list: {
    usage: "",
    least: 0,
    most: 0,
    help: "list containers",
    flags: [
      { name: "format", short: "f", value: "FORMAT", help: "table or json" },
      { name: "quiet", short: "q", help: "ids alone" },
    ],
    run: async ({ states, cgroups }, flags) =>
      say(await listContainers(states, cgroups, flags.text("format") ?? "table", flags.has("quiet"))),
  },
  events: {
    ...ID,
    help: "tell what a container takes, and when memory is wanting",
    flags: [
      { name: "stats", help: "statistics, once" },
      { name: "interval", value: "SECONDS", help: "between statistics, 5s by default" },
    ],
    run: tellEvents,
  },
  spec: {
    usage: "",
    least: 0,
    most: 0,
    help: "write a config.json to start from",
    flags: [
      { name: "bundle", short: "b", value: "DIR", help: "where to" },
      { name: "rootless", help: "refused" },
    ],
    run: async (_, flags) => writeSpec(flags),
  },
  features: {
    usage: "",
    least: 0,
    most: 0,
    help: "tell what this runtime can",
    flags: [],
    run: async () => sayJson((await import("./spec.ts")).features()),
  },
};
