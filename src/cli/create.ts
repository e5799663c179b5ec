/** `bosun create`, and what `bosun run` has of it: flags → the body of a request; and the request, with a pull of an image that is missing. */

import { readFileSync, writeFileSync } from "node:fs";
import type { Streams } from "./attach.ts";
import { type Client, DaemonError } from "./client.ts";
import type { Command } from "./command.ts";
import { DEVICE_FLAGS, devicesOf } from "./devices.ts";
import { type Flags, type Specs, UsageError } from "./flags.ts";
import { HEALTH_FLAGS, healthcheck } from "./health.ts";
import { pull } from "./images.ts";
import { RESTART_FLAG, restartPolicy } from "./lifecycle.ts";
import { bytes, LIMIT_FLAGS, limitsOf } from "./limits.ts";
import { parseMountFlag } from "./mount-flag.ts";
import { NETWORK_FLAGS, networkingOf } from "./networking.ts";
import { pairs } from "./pairs.ts";
import { windowSize } from "./streams.ts";

const OWN_FLAGS: Specs = {
  attach: { kind: "list", short: "a", help: "Attach to STDIN, STDOUT or STDERR" },
  "cap-add": { kind: "list", help: "Add Linux capabilities" },
  "cap-drop": { kind: "list", help: "Drop Linux capabilities" },
  cgroupns: { kind: "text", help: "Cgroup namespace to use (host|private)" },
  cidfile: { kind: "text", help: "Write the container ID to the file" },
  entrypoint: { kind: "text", help: "Overwrite the default ENTRYPOINT of the image" },
  env: { kind: "list", short: "e", help: "Set environment variables" },
  "env-file": { kind: "list", help: "Read in a file of environment variables" },
  "group-add": { kind: "list", help: "Add additional groups to join" },
  hostname: { kind: "text", short: "h", help: "Container host name" },
  init: { kind: "bool", help: "Run an init inside the container that forwards signals and reaps processes" },
  interactive: { kind: "bool", short: "i", help: "Keep STDIN open even if not attached" },
  ipc: { kind: "text", help: "IPC mode to use" },
  label: { kind: "list", short: "l", help: "Set meta data on a container" },
  "log-driver": { kind: "text", help: "Logging driver for the container" },
  "log-opt": { kind: "list", help: "Log driver options" },
  mount: { kind: "list", help: "Attach a filesystem mount to the container" },
  name: { kind: "text", help: "Assign a name to the container" },
  "oom-score-adj": { kind: "text", help: "Tune host's OOM preferences (-1000 to 1000)" },
  pid: { kind: "text", help: "PID namespace to use" },
  platform: { kind: "text", help: "Set platform if server is multi-platform capable" },
  privileged: { kind: "bool", help: "Give extended privileges to this container" },
  pull: { kind: "text", help: "Pull image before running (always|missing|never)" },
  "read-only": { kind: "bool", help: "Mount the container's root filesystem as read only" },
  restart: RESTART_FLAG,
  rm: { kind: "bool", help: "Remove the container when it exits" },
  "security-opt": { kind: "list", help: "Security options" },
  "storage-opt": { kind: "list", help: "Storage driver options for the container" },
  "shm-size": { kind: "text", help: "Size of /dev/shm" },
  "stop-signal": { kind: "text", help: "Signal to stop the container" },
  "stop-timeout": { kind: "text", help: "Timeout (in seconds) to stop a container" },
  sysctl: { kind: "list", help: "Sysctl options" },
  tmpfs: { kind: "list", help: "Mount a tmpfs directory" },
  tty: { kind: "bool", short: "t", help: "Allocate a pseudo-TTY" },
  ulimit: { kind: "list", help: "Ulimit options" },
  user: { kind: "text", short: "u", help: "Username or UID (format: <name|uid>[:<group|gid>])" },
  userns: { kind: "text", help: "User namespace to use" },
  uts: { kind: "text", help: "UTS namespace to use" },
  volume: { kind: "list", short: "v", help: "Bind mount a volume" },
  "volume-driver": { kind: "text", help: "Optional volume driver for the container" },
  "volumes-from": { kind: "list", help: "Mount volumes from the specified container(s)" },
  workdir: { kind: "text", short: "w", help: "Working directory inside the container" },
};

/** A name without a value takes ours, as docker does; one that we do not have is left out. */
function environment(flags: Flags): readonly string[] {
  const fromFiles = flags.list("env-file").flatMap((path) =>
    readFileSync(path, "utf8")
      .split("\n")
      .filter((line) => line.trim() !== "" && !line.startsWith("#")),
  );
  return [...fromFiles, ...flags.list("env")].flatMap((entry) => {
    if (entry.includes("=")) return [entry];
    const value = process.env[entry];
    return value === undefined ? [] : [`${entry}=${value}`];
  });
}

function ulimit(text: string): object {
  const [, name, soft, hard] = /^(\w+)=(-?\d+)(?::(-?\d+))?$/.exec(text) ?? [];
  if (!name || !soft) throw new UsageError(`invalid ulimit argument: ${text}`);
  return { Name: name, Soft: Number(soft), Hard: Number(hard ?? soft) };
}

const securityOption = (text: string): string => {
  const [, path] = /^seccomp=(.+)$/.exec(text) ?? [];
  if (!path || ["unconfined", "builtin"].includes(path)) return text;
  return `seccomp=${JSON.stringify(JSON.parse(readFileSync(path, "utf8")))}`;
};

/** `-v /path` alone is a volume that nobody names. */
const isNamed = (spec: string): boolean => spec.includes(":");

function hostConfig(flags: Flags): object {
  const systempaths = flags.list("security-opt").includes("systempaths=unconfined");
  const security = flags.list("security-opt").filter((option) => option !== "systempaths=unconfined");
  const tmpfs = flags.list("tmpfs").map((item): [string, string] => {
    const [path = "", ...options] = item.split(":");
    return [path, options.join(":")];
  });
  const logDriver = flags.text("log-driver");
  return {
    AutoRemove: flags.on("rm"),
    Binds: flags.list("volume").filter(isNamed),
    CapAdd: flags.list("cap-add"),
    CapDrop: flags.list("cap-drop"),
    CgroupnsMode: flags.text("cgroupns"),
    ConsoleSize: windowSize(),
    ContainerIDFile: flags.text("cidfile"),
    ...limitsOf(flags),
    ...devicesOf(flags),
    GroupAdd: flags.list("group-add"),
    ...(flags.has("init") && { Init: flags.on("init") }),
    IpcMode: flags.text("ipc"),
    LogConfig: { Type: logDriver ?? "", Config: pairs(flags.list("log-opt")) },
    Mounts: flags.list("mount").map(parseMountFlag),
    OomScoreAdj: flags.number("oom-score-adj"),
    PidMode: flags.text("pid"),
    Privileged: flags.on("privileged"),
    ReadonlyRootfs: flags.on("read-only"),
    RestartPolicy: restartPolicy(flags.text("restart") ?? "no"),
    SecurityOpt: security.map(securityOption),
    ...(systempaths && { MaskedPaths: [], ReadonlyPaths: [] }),
    ShmSize: bytes(flags, "shm-size"),
    StorageOpt: pairs(flags.list("storage-opt")),
    Sysctls: pairs(flags.list("sysctl")),
    Tmpfs: Object.fromEntries(tmpfs),
    UTSMode: flags.text("uts"),
    UsernsMode: flags.text("userns"),
    Ulimits: flags.list("ulimit").map(ulimit),
    VolumeDriver: flags.text("volume-driver"),
    VolumesFrom: flags.list("volumes-from"),
  };
}

/** With -d nothing; as -a says; else the outputs, and the input with -i. @throws UsageError */
export function attachedTo(flags: Flags): Streams {
  const asked = flags.list("attach").map((name) => name.toLowerCase());
  const wrong = asked.find((name) => !["stdin", "stdout", "stderr"].includes(name));
  if (wrong !== undefined) throw new UsageError("valid streams are STDIN, STDOUT and STDERR");
  if (flags.on("detach")) {
    if (asked.length > 0) throw new UsageError("conflicting options: cannot specify both --attach and --detach");
    return { stdin: false, stdout: false, stderr: false };
  }
  if (asked.length === 0) return { stdin: flags.on("interactive"), stdout: true, stderr: true };
  return { stdin: asked.includes("stdin"), stdout: asked.includes("stdout"), stderr: asked.includes("stderr") };
}

function createBody(flags: Flags, attached: Streams): object {
  const [image, ...cmd] = flags.args;
  const entrypoint = flags.text("entrypoint");
  const networking = networkingOf(flags);
  return {
    Image: image,
    Cmd: cmd.length > 0 ? cmd : null,
    ...(entrypoint !== undefined && { Entrypoint: [entrypoint] }),
    AttachStdin: attached.stdin,
    AttachStdout: attached.stdout,
    AttachStderr: attached.stderr,
    Env: environment(flags),
    Healthcheck: healthcheck(flags),
    Hostname: flags.text("hostname"),
    Labels: pairs(flags.list("label")),
    OpenStdin: flags.on("interactive"),
    StdinOnce: attached.stdin,
    StopSignal: flags.text("stop-signal"),
    StopTimeout: flags.number("stop-timeout"),
    Tty: flags.on("tty"),
    User: flags.text("user"),
    Volumes: Object.fromEntries(
      flags
        .list("volume")
        .filter((spec) => !isNamed(spec))
        .map((path) => [path, {}]),
    ),
    WorkingDir: flags.text("workdir"),
    ...networking.body,
    HostConfig: { ...hostConfig(flags), ...networking.host },
  };
}

interface Created {
  readonly Id: string;
  readonly Warnings: readonly string[] | null;
}

async function request(client: Client, flags: Flags, body: object): Promise<Created> {
  const policy = flags.text("pull") ?? "missing";
  const platform = flags.text("platform");
  const query = { name: flags.text("name"), platform };
  const image = flags.args[0] ?? "";
  if (policy === "always") await pull(client, image, { platform, out: process.stderr });
  try {
    return await client.post<Created>("/containers/create", { query, json: body });
  } catch (error) {
    const missing = error instanceof DaemonError && error.status === 404 && /no such image/i.test(error.message);
    if (!missing || policy === "never") throw error;
  }
  process.stderr.write(`Unable to find image '${image}' locally\n`);
  await pull(client, image, { platform, out: process.stderr });
  return client.post<Created>("/containers/create", { query, json: body });
}

export const CREATE_FLAGS: Specs = { ...OWN_FLAGS, ...NETWORK_FLAGS, ...LIMIT_FLAGS, ...DEVICE_FLAGS, ...HEALTH_FLAGS };

/** Tells warnings, and writes the id where it is asked for. @returns the id. @throws UsageError, DaemonError */
export async function create(client: Client, flags: Flags, attached: Streams): Promise<string> {
  if (flags.on("rm") && !["", "no"].includes(flags.text("restart") ?? ""))
    throw new UsageError("conflicting options: cannot specify both --restart and --rm");
  const { Id: id, Warnings } = await request(client, flags, createBody(flags, attached));
  for (const warning of Warnings ?? []) process.stderr.write(`WARNING: ${warning}\n`);
  const cidfile = flags.text("cidfile");
  if (cidfile !== undefined) writeFileSync(cidfile, id, { flag: "wx" });
  return id;
}

export const createCommand: Command = {
  usage: "create [OPTIONS] IMAGE [COMMAND] [ARG...]",
  summary: "Create a new container",
  flags: CREATE_FLAGS,
  args: [1, Number.POSITIVE_INFINITY],
  stopAtArgument: true,
  async run(client, flags) {
    console.log(await create(client, flags, attachedTo(flags)));
    return 0;
  },
};
