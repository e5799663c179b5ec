/** `bosun run`: create (pulling what is missing), attach, wait, start, in the order that loses neither output nor exit code. */

import { readFileSync, writeFileSync } from "node:fs";
import { messageOf } from "../base/errors.ts";
import { parseBytes } from "../base/units.ts";
import { attach, type Streams } from "./attach.ts";
import { type Client, DaemonError } from "./client.ts";
import type { Command } from "./command.ts";
import { type Flags, type Specs, UsageError } from "./flags.ts";
import { HEALTH_FLAGS, healthcheck } from "./health.ts";
import { pull } from "./images.ts";
import { restartPolicy } from "./lifecycle.ts";
import { fieldsOf, parseMountFlag } from "./mount-flag.ts";
import { pairs } from "./pairs.ts";
import { windowSize } from "./streams.ts";

const FLAGS: Specs = {
  "add-host": { kind: "list", help: "Add a host-to-IP mapping (host:ip)" },
  attach: { kind: "list", short: "a", help: "Attach to STDIN, STDOUT or STDERR" },
  "blkio-weight": { kind: "text", help: "Block IO (relative weight), between 10 and 1000" },
  "blkio-weight-device": { kind: "list", help: "Block IO weight (relative device weight, path:weight)" },
  "cap-add": { kind: "list", help: "Add Linux capabilities" },
  "cap-drop": { kind: "list", help: "Drop Linux capabilities" },
  "cgroup-parent": { kind: "text", help: "Optional parent cgroup for the container" },
  cgroupns: { kind: "text", help: "Cgroup namespace to use (host|private)" },
  cidfile: { kind: "text", help: "Write the container ID to the file" },
  "cpu-period": { kind: "text", help: "Limit CPU CFS period, microseconds" },
  "cpu-quota": { kind: "text", help: "Limit CPU CFS quota, microseconds" },
  "cpu-rt-period": { kind: "text", help: "Limit CPU real-time period in microseconds" },
  "cpu-rt-runtime": { kind: "text", help: "Limit CPU real-time runtime in microseconds" },
  "cpu-shares": { kind: "text", short: "c", help: "CPU shares (relative weight)" },
  cpus: { kind: "text", help: "Number of CPUs" },
  "cpuset-cpus": { kind: "text", help: "CPUs in which to allow execution (0-3, 0,1)" },
  "cpuset-mems": { kind: "text", help: "MEMs in which to allow execution (0-3, 0,1)" },
  gpus: { kind: "list", help: "GPU devices to add to the container ('all' to pass all GPUs)" },
  detach: { kind: "bool", short: "d", help: "Run container in background and print container ID" },
  "detach-keys": { kind: "text", help: "Override the key sequence for detaching" },
  device: { kind: "list", help: "Add a host device to the container" },
  "device-cgroup-rule": { kind: "list", help: "Add a rule to the cgroup allowed devices list" },
  "device-read-bps": { kind: "list", help: "Limit read rate (bytes per second) from a device (path:rate)" },
  "device-read-iops": { kind: "list", help: "Limit read rate (IO per second) from a device (path:rate)" },
  "device-write-bps": { kind: "list", help: "Limit write rate (bytes per second) to a device (path:rate)" },
  "device-write-iops": { kind: "list", help: "Limit write rate (IO per second) to a device (path:rate)" },
  dns: { kind: "list", help: "Set custom DNS servers" },
  "dns-option": { kind: "list", help: "Set DNS options" },
  "dns-search": { kind: "list", help: "Set custom DNS search domains" },
  entrypoint: { kind: "text", help: "Overwrite the default ENTRYPOINT of the image" },
  env: { kind: "list", short: "e", help: "Set environment variables" },
  "env-file": { kind: "list", help: "Read in a file of environment variables" },
  expose: { kind: "list", help: "Expose a port or a range of ports" },
  "group-add": { kind: "list", help: "Add additional groups to join" },
  hostname: { kind: "text", short: "h", help: "Container host name" },
  init: { kind: "bool", help: "Run an init inside the container that forwards signals and reaps processes" },
  interactive: { kind: "bool", short: "i", help: "Keep STDIN open even if not attached" },
  ipc: { kind: "text", help: "IPC mode to use" },
  label: { kind: "list", short: "l", help: "Set meta data on a container" },
  "log-driver": { kind: "text", help: "Logging driver for the container" },
  "log-opt": { kind: "list", help: "Log driver options" },
  memory: { kind: "text", short: "m", help: "Memory limit, bytes" },
  "memory-reservation": { kind: "text", help: "Memory soft limit, bytes" },
  "memory-swappiness": { kind: "text", help: "Tune container memory swappiness (0 to 100)" },
  "memory-swap": { kind: "text", help: "Memory and swap limit, bytes; -1 for unlimited swap" },
  mount: { kind: "list", help: "Attach a filesystem mount to the container" },
  name: { kind: "text", help: "Assign a name to the container" },
  network: { kind: "text", help: "Connect a container to a network" },
  net: { kind: "text", help: "The same as --network" },
  "oom-kill-disable": { kind: "bool", help: "Disable OOM Killer" },
  "oom-score-adj": { kind: "text", help: "Tune host's OOM preferences (-1000 to 1000)" },
  pid: { kind: "text", help: "PID namespace to use" },
  "pids-limit": { kind: "text", help: "Tune container pids limit (-1 for unlimited)" },
  platform: { kind: "text", help: "Set platform if server is multi-platform capable" },
  privileged: { kind: "bool", help: "Give extended privileges to this container" },
  pull: { kind: "text", help: "Pull image before running (always|missing|never)" },
  "read-only": { kind: "bool", help: "Mount the container's root filesystem as read only" },
  restart: { kind: "text", help: "Restart policy to apply when a container exits" },
  rm: { kind: "bool", help: "Remove the container when it exits" },
  "security-opt": { kind: "list", help: "Security options" },
  "storage-opt": { kind: "list", help: "Storage driver options for the container" },
  "shm-size": { kind: "text", help: "Size of /dev/shm" },
  "sig-proxy": { kind: "bool", help: "Proxy received signals to the process (default true)" },
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

/** Bytes from `64m`. @throws UsageError */
export function bytes(flags: Flags, name: string): number | undefined {
  const text = flags.text(name);
  if (text === undefined) return undefined;
  if (text === "-1") return -1;
  try {
    return parseBytes(text);
  } catch (error) {
    throw new UsageError(`invalid argument "${text}" for "--${name}" flag: ${messageOf(error)}`);
  }
}

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

function device(text: string): object {
  const [host = "", container = host, permissions = "rwm"] = text.split(":");
  const bare = /^[rwm]+$/.test(container) && !container.startsWith("/");
  return {
    PathOnHost: host,
    PathInContainer: bare ? host : container,
    CgroupPermissions: bare ? container : permissions,
  };
}

/** `path:value`. @throws UsageError */
function disks(flags: Flags, name: string, key: "Weight" | "Rate", read: (text: string) => number): readonly object[] {
  return flags.list(name).map((text) => {
    const [, path, value = ""] = /^(\/dev\/[^:]+):(\d.*)$/.exec(text) ?? [];
    if (path === undefined)
      throw new UsageError(`invalid argument "${text}" for "--${name}" flag: bad format for path: ${text}`);
    return { Path: path, [key]: read(value) };
  });
}

const limitsOf = (flags: Flags): object => ({
  BlkioWeight: flags.number("blkio-weight"),
  BlkioWeightDevice: disks(flags, "blkio-weight-device", "Weight", Number),
  BlkioDeviceReadBps: disks(flags, "device-read-bps", "Rate", parseBytes),
  BlkioDeviceWriteBps: disks(flags, "device-write-bps", "Rate", parseBytes),
  BlkioDeviceReadIOps: disks(flags, "device-read-iops", "Rate", Number),
  BlkioDeviceWriteIOps: disks(flags, "device-write-iops", "Rate", Number),
  CgroupParent: flags.text("cgroup-parent"),
  CpuPeriod: flags.number("cpu-period"),
  CpuQuota: flags.number("cpu-quota"),
  CpuRealtimePeriod: flags.number("cpu-rt-period"),
  CpuRealtimeRuntime: flags.number("cpu-rt-runtime"),
  CpuShares: flags.number("cpu-shares"),
  CpusetCpus: flags.text("cpuset-cpus"),
  CpusetMems: flags.text("cpuset-mems"),
  DeviceCgroupRules: flags.list("device-cgroup-rule"),
  Memory: bytes(flags, "memory"),
  MemoryReservation: bytes(flags, "memory-reservation"),
  MemorySwap: bytes(flags, "memory-swap"),
  MemorySwappiness: flags.number("memory-swappiness"),
  NanoCpus: flags.has("cpus") ? Math.round((flags.number("cpus") ?? 0) * 1e9) : undefined,
  OomKillDisable: flags.on("oom-kill-disable"),
  PidsLimit: flags.number("pids-limit"),
});

/** `vendor.com/class=name`. */
const isCdi = (text: string): boolean => /^[A-Za-z][\w.-]*\/[A-Za-z][\w-]*=.+$/.test(text);

/** `all`, `2`, `device=0,1`, `"device=0,1",capabilities=utility`, `driver=nvidia`. @throws UsageError */
function gpuRequest(text: string): object {
  const fields = fieldsOf(/^(all|\d+)$/.test(text) ? `count=${text}` : text).map((field) => field.split(/=(.*)/s, 2));
  const given = new Map(fields.map(([key = "", value = ""]) => [key, value]));
  const wrong = [...given.keys()].find(
    (key) => !["count", "device", "driver", "capabilities", "options"].includes(key),
  );
  if (wrong !== undefined)
    throw new UsageError(`invalid argument "${text}" for "--gpus" flag: unexpected key '${wrong}' in '${text}'`);
  const [devices, count] = [given.get("device")?.split(","), given.get("count")];
  return {
    Driver: given.get("driver") ?? "",
    Count: count === "all" ? -1 : count === undefined ? (devices ? 0 : 1) : Number(count),
    DeviceIDs: devices ?? null,
    Capabilities: [["gpu", ...(given.get("capabilities")?.split(",") ?? [])]],
    Options: pairs(given.get("options")?.split(",") ?? []),
  };
}

function deviceRequests(flags: Flags): readonly object[] {
  const named = flags.list("device").filter(isCdi);
  return [
    ...flags.list("gpus").map(gpuRequest),
    ...(named.length > 0 ? [{ Driver: "cdi", Count: 0, DeviceIDs: named, Capabilities: null, Options: {} }] : []),
  ];
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
    Devices: flags
      .list("device")
      .filter((text) => !isCdi(text))
      .map(device),
    DeviceRequests: deviceRequests(flags),
    Dns: flags.list("dns"),
    DnsOptions: flags.list("dns-option"),
    DnsSearch: flags.list("dns-search"),
    ExtraHosts: flags.list("add-host").map((entry) => entry.replace("=", ":")),
    GroupAdd: flags.list("group-add"),
    ...(flags.has("init") && { Init: flags.on("init") }),
    IpcMode: flags.text("ipc"),
    LogConfig: { Type: logDriver ?? "", Config: pairs(flags.list("log-opt")) },
    Mounts: flags.list("mount").map(parseMountFlag),
    NetworkMode: flags.text("network") ?? flags.text("net") ?? "default",
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
function attachedTo(flags: Flags): Streams {
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
  return {
    Image: image,
    Cmd: cmd.length > 0 ? cmd : null,
    ...(entrypoint !== undefined && { Entrypoint: [entrypoint] }),
    AttachStdin: attached.stdin,
    AttachStdout: attached.stdout,
    AttachStderr: attached.stderr,
    Env: environment(flags),
    ExposedPorts: Object.fromEntries(
      flags.list("expose").map((port) => [port.includes("/") ? port : `${port}/tcp`, {}]),
    ),
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
    HostConfig: hostConfig(flags),
  };
}

interface Created {
  readonly Id: string;
  readonly Warnings: readonly string[] | null;
}

async function create(client: Client, flags: Flags, body: object): Promise<Created> {
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

/** docker's exit codes for a container that did not start. */
function startFailureCode(message: string): number {
  if (/executable file not found|no such file or directory/i.test(message)) return 127;
  if (/permission denied|is a directory/i.test(message)) return 126;
  return 125;
}

const runAttached = (client: Client, flags: Flags, id: string, streams: Streams): Promise<number> =>
  attach(client, {
    ...{ id, streams, tty: flags.on("tty"), detachKeys: flags.text("detach-keys") },
    forwardsSignals: flags.on("sig-proxy", true),
    condition: flags.on("rm") ? "removed" : "next-exit",
    start: () => client.request("POST", `/containers/${id}/start`),
  });

export const runCommand: Command = {
  usage: "run [OPTIONS] IMAGE [COMMAND] [ARG...]",
  summary: "Create and run a new container from an image",
  flags: { ...FLAGS, ...HEALTH_FLAGS },
  args: [1, Number.POSITIVE_INFINITY],
  stopAtArgument: true,
  failureCode: 125,
  async run(client, flags) {
    if (flags.on("rm") && !["", "no"].includes(flags.text("restart") ?? ""))
      throw new UsageError("conflicting options: cannot specify both --restart and --rm");
    const attached = attachedTo(flags);
    const { Id: id, Warnings } = await create(client, flags, createBody(flags, attached));
    for (const warning of Warnings ?? []) process.stderr.write(`WARNING: ${warning}\n`);
    const cidfile = flags.text("cidfile");
    if (cidfile !== undefined) writeFileSync(cidfile, id, { flag: "wx" });
    try {
      if (attached.stdin || attached.stdout || attached.stderr) return await runAttached(client, flags, id, attached);
      await client.request("POST", `/containers/${id}/start`);
      console.log(id);
      return 0;
    } catch (error) {
      if (!(error instanceof DaemonError)) throw error;
      process.stderr.write(`bosun: Error response from daemon: ${error.message}\n`);
      return startFailureCode(error.message);
    }
  },
};
