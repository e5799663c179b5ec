/** What /version and /info say of this host and this engine. Source: Docker Engine API, SystemInfo. */

import { existsSync, readFileSync } from "node:fs";
import { cpus, hostname, release, totalmem } from "node:os";
import type { SystemFacts } from "./api/system.ts";
import { fileSystemOf } from "./base/files.ts";
import { type Config, OWN_RUNTIMES } from "./config.ts";
import type { CdiDevices } from "./container/cdi.ts";
import type { Containers } from "./container/containers.ts";
import { isUp } from "./container/state.ts";
import type { Images } from "./image/images.ts";
import { hidden, proxySettings } from "./registry/proxies.ts";
import type { Cgroups } from "./runtime/cgroup.ts";
import { VERSION } from "./version.ts";
import { hasherChoice } from "./wasm/hasher.ts";

const MACHINES: Readonly<Record<string, string>> = { x64: "x86_64", arm64: "aarch64" };
const ARCHITECTURES: Readonly<Record<string, string>> = { x64: "amd64" };

function operatingSystem(): { readonly name: string; readonly version: string } {
  const text = existsSync("/etc/os-release") ? readFileSync("/etc/os-release", "utf8") : "";
  const field = (name: string) => new RegExp(`^${name}="?(.*?)"?$`, "m").exec(text)?.[1] ?? "";
  return { name: field("PRETTY_NAME") || "Linux", version: field("VERSION_ID") };
}

export interface FactSources {
  readonly config: Config;
  readonly id: string;
  readonly containers: Containers;
  readonly images: Images;
  readonly cgroups: Cgroups;
  readonly cdi: CdiDevices;
  readonly storageDriver: string;
  readonly volumeDrivers: () => Promise<readonly string[]>;
  readonly logDrivers: readonly string[];
  readonly seccomp: string;
  readonly hasAppArmor: boolean;
  readonly listeners: () => number;
  /** What of the host keeps networks from working, in words. */
  readonly networkWarnings: () => readonly string[];
}

export function hostFacts(): SystemFacts["host"] {
  const { name, version } = operatingSystem();
  return {
    kernel: release(),
    operatingSystem: name,
    osVersion: version,
    machine: MACHINES[process.arch] ?? process.arch,
    architecture: ARCHITECTURES[process.arch] ?? process.arch,
    name: hostname(),
    cpus: cpus().length,
    memory: totalmem(),
  };
}

/** What the engine may do, and so may give. Source: proc_pid_status(5), CapEff. */
export function ownCapabilities(): bigint {
  const status = readFileSync("/proc/self/status", "utf8");
  return BigInt(`0x${/^CapEff:\s*([0-9a-f]+)$/m.exec(status)?.[1] ?? "0"}`);
}

/** As Docker names them, by magic number. Source: statfs(2), linux/magic.h. */
const FILE_SYSTEMS: ReadonlyMap<number, string> = new Map([
  [0xef53, "extfs"],
  [0x58465342, "xfs"],
  [0x9123683e, "btrfs"],
  [0x01021994, "tmpfs"],
  [0x2fc12fc1, "zfs"],
  [0x794c7630, "overlayfs"],
]);

function backingFileSystem(path: string): string {
  const { type } = fileSystemOf(path);
  return FILE_SYSTEMS.get(type) ?? `0x${type.toString(16)}`;
}

/** Whether containers are in cgroup namespaces of their own unless they ask for the host's. */
export const hasOwnCgroups = ({ defaultCgroupnsMode }: Config, { version }: Cgroups): boolean =>
  (defaultCgroupnsMode ?? (version === 2 ? "private" : "host")) === "private";

const readFlag = (path: string): boolean => existsSync(path) && readFileSync(path, "utf8").trim() === "1";

async function info(sources: FactSources, host: SystemFacts["host"]): Promise<Readonly<Record<string, unknown>>> {
  const { config, id, containers, images, cgroups, cdi, storageDriver, seccomp } = sources;
  const all = containers.records.all();
  const running = all.filter(({ state }) => isUp(state)).length;
  const paused = all.filter(({ state }) => state.phase === "paused").length;
  const { features } = cgroups;
  const proxies = proxySettings(config.proxies);
  return {
    ID: id,
    Containers: all.length,
    ContainersRunning: running - paused,
    ContainersPaused: paused,
    ContainersStopped: all.length - running,
    Images: (await images.list()).length,
    Driver: storageDriver,
    DriverStatus: [
      ["Backing Filesystem", backingFileSystem(config.dataRoot)],
      ["Digests", hasherChoice().name],
    ],
    DockerRootDir: config.dataRoot,
    Plugins: {
      Volume: await sources.volumeDrivers(),
      Network: ["bridge", "host", "ipvlan", "macvlan", "null"],
      Authorization: null,
      Log: sources.logDrivers.toSorted(),
    },
    MemoryLimit: features.memory,
    SwapLimit: features.swap,
    KernelMemoryTCP: false, // no kernel limits it any more
    CpuCfsPeriod: features.cpuQuota,
    CpuCfsQuota: features.cpuQuota,
    CPUShares: features.cpuShares,
    CPUSet: features.cpuset,
    PidsLimit: features.pids,
    OomKillDisable: features.oomKillDisable,
    IPv4Forwarding: readFlag("/proc/sys/net/ipv4/ip_forward"),
    Debug: config.logLevel === "debug",
    NFd: 0,
    NGoroutines: 0,
    SystemTime: new Date().toISOString(),
    LoggingDriver: config.logDriver,
    CgroupDriver: "cgroupfs",
    CgroupVersion: String(cgroups.version),
    NEventsListener: sources.listeners(),
    KernelVersion: host.kernel,
    OperatingSystem: host.operatingSystem,
    OSVersion: host.osVersion,
    OSType: "linux",
    Architecture: host.machine,
    NCPU: host.cpus,
    MemTotal: host.memory,
    IndexServerAddress: "https://index.docker.io/v1/",
    RegistryConfig: registryConfig(config),
    GenericResources: null,
    HttpProxy: hidden(proxies.http),
    HttpsProxy: hidden(proxies.https),
    NoProxy: proxies.no,
    Name: host.name,
    Labels: config.labels,
    ExperimentalBuild: false,
    ServerVersion: VERSION.engine,
    Runtimes: runtimesOf(config),
    DefaultRuntime: config.defaultRuntime,
    Swarm: {
      NodeID: "",
      NodeAddr: "",
      LocalNodeState: "inactive",
      ControlAvailable: false,
      Error: "",
      RemoteManagers: null,
    },
    LiveRestoreEnabled: true,
    Isolation: "",
    InitBinary: "docker-init",
    ContainerdCommit: { ID: "" },
    RuncCommit: { ID: "" },
    InitCommit: { ID: "" },
    SecurityOptions: [
      ...(seccomp === "unconfined" ? [] : [`name=seccomp,profile=${seccomp}`]),
      ...(sources.hasAppArmor ? ["name=apparmor"] : []),
      ...(hasOwnCgroups(config, cgroups) ? ["name=cgroupns"] : []),
    ],
    FirewallBackend: { Driver: config.firewall ? "nftables" : "none" },
    CDISpecDirs: cdi.directories,
    DiscoveredDevices: (await cdi.list()).map((name) => ({ Source: "cdi", ID: name })),
    Warnings: warnings(sources),
  };
}

const runtimesOf = ({ runtimes }: Config) =>
  Object.fromEntries([
    ...OWN_RUNTIMES.map((name) => [name, { path: "bosun-shim" }]),
    ...Object.entries(runtimes).map(([name, { path, args }]) => [
      name,
      { path, ...(args.length > 0 && { runtimeArgs: args }) },
    ]),
  ]);

const registryConfig = ({ insecureRegistries, registryMirrors, mirrors }: Config) => ({
  InsecureRegistryCIDRs: ["::1/128", "127.0.0.0/8", ...insecureRegistries.filter((entry) => entry.includes("/"))],
  IndexConfigs: {
    ...Object.fromEntries(
      Object.entries(mirrors)
        .filter(([name]) => name !== "*")
        .map(([name, urls]) => [name, { Name: name, Mirrors: urls, Secure: true, Official: false }]),
    ),
    "docker.io": {
      Name: "docker.io",
      Mirrors: [...registryMirrors, ...(mirrors["docker.io"] ?? [])],
      Secure: true,
      Official: true,
    },
    ...Object.fromEntries(
      insecureRegistries
        .filter((entry) => !entry.includes("/"))
        .map((name) => [name, { Name: name, Mirrors: mirrors[name] ?? [], Secure: false, Official: false }]),
    ),
  },
  Mirrors: registryMirrors,
});

/** By Docker's names, of version 1 and 2. */
const DISK_LIMITS = [
  ["blockWeight", "blkio weight", "io.weight"],
  ["blockWeightDevice", "blkio weight_device", "io.weight (per device)"],
  ["readBps", "blkio throttle.read_bps_device", "io.max (rbps)"],
  ["writeBps", "blkio throttle.write_bps_device", "io.max (wbps)"],
  ["readIops", "blkio throttle.read_iops_device", "io.max (riops)"],
  ["writeIops", "blkio throttle.write_iops_device", "io.max (wiops)"],
] as const;

function warnings({ config, networkWarnings, cgroups: { features, version } }: FactSources): readonly string[] {
  const open = config.hosts.filter((host) => host.startsWith("tcp://") && !config.tls?.verify);
  return [
    ...open.map(
      (host) => `[DEPRECATION NOTICE]: API is accessible on ${host.replace("tcp://", "http://")} without encryption.`,
    ),
    ...(features.memory ? [] : ["WARNING: No memory limit support"]),
    ...(features.swap ? [] : ["WARNING: No swap limit support"]),
    ...(features.oomKillDisable || version === 2 ? [] : ["WARNING: No oom kill disable support"]),
    ...(features.cpuQuota ? [] : ["WARNING: No cpu cfs quota support", "WARNING: No cpu cfs period support"]),
    ...(features.cpuShares ? [] : ["WARNING: No cpu shares support"]),
    ...(features.cpuset ? [] : ["WARNING: No cpuset support"]),
    ...(features.pids ? [] : ["WARNING: No pids limit support"]),
    ...DISK_LIMITS.flatMap(([feature, ...names]) =>
      features[feature] ? [] : [`WARNING: No ${names[version - 1]} support`],
    ),
    ...networkWarnings().map((warning) => `WARNING: ${warning}`),
  ];
}

export function collectFacts(sources: FactSources): SystemFacts {
  const host = hostFacts();
  return { version: VERSION, host, info: () => info(sources, host) };
}
