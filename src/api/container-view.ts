/** A container as clients see it: the short form of a list, the long one of inspect. Projections only; nothing is decided here. */

import { invalid } from "../base/errors.ts";
import { MASKED_PATHS, READONLY_PATHS } from "../container/isolation.ts";
import type { Container } from "../container/records.ts";
import { NEVER, type State, statusText } from "../container/state.ts";
import type { Filters } from "./filters.ts";

/** What the projections need from elsewhere. */
export interface ViewContext {
  readonly networkId: (name: string) => string;
  /** Files of a container under the data root. */
  readonly folder: (id: string) => string;
  readonly logPath: (container: Container) => string;
  readonly execIds: (id: string) => readonly string[];
  readonly storageDriver: string;
  readonly usage: (id: string) => Promise<{ readonly bytes: number }>;
  /** Bytes of an image's layers. */
  readonly imageSize: (imageId: string) => Promise<number>;
  /** Ids of the named image and of all that build on it; none for a name that is unknown. */
  readonly descendants: (ancestor: string) => Promise<ReadonlySet<string>>;
}

export const LIST_FILTERS = [
  ...["ancestor", "before", "exited", "expose", "health", "id", "is-task", "isolation", "label", "name", "network"],
  ...["publish", "since", "status", "volume"],
];

const PHASES = ["created", "restarting", "running", "removing", "paused", "exited", "dead"];

function checkFilters(filters: Filters): void {
  for (const value of filters.get("status"))
    if (!PHASES.includes(value)) throw invalid(`invalid filter 'status=${value}'`);
  for (const value of filters.get("exited"))
    if (!/^\d+$/.test(value)) throw invalid(`invalid filter 'exited=[${value}]'`);
  for (const value of filters.get("health"))
    if (!["starting", "healthy", "unhealthy", "none"].includes(value))
      throw invalid(`invalid filter 'health=${value}'`);
}

/** Docker treats a name filter as a regular expression; a broken one matches nothing but itself. */
function matchesName(name: string, pattern: string): boolean {
  try {
    return new RegExp(pattern).test(`/${name}`) || new RegExp(pattern).test(name);
  } catch {
    return name === pattern;
  }
}

function matches(container: Container, filters: Filters, family: ReadonlySet<string>, view: ViewContext): boolean {
  const { id, name, config, host, state } = container;
  const network = host.namespaces.network;
  const targets = [...host.binds.map(({ target }) => target), ...Object.keys(host.tmpfs)];
  return (
    filters.labels(config.labels) &&
    filters.any("id", (value) => id.startsWith(value)) &&
    filters.any("name", (value) => matchesName(name, value)) &&
    filters.any("status", (value) => value === state.phase) &&
    filters.any("exited", (value) => state.phase === "exited" && state.last.code === Number(value)) &&
    filters.any("ancestor", () => family.has(container.imageId)) &&
    filters.any("network", (value) => network === value || view.networkId(network).startsWith(value)) &&
    filters.any("volume", (value) => targets.includes(value) || host.binds.some(({ source }) => source === value)) &&
    filters.any("expose", (value) => config.exposedPorts.some((port) => port === value || port === `${value}/tcp`)) &&
    filters.any("publish", () => false) &&
    filters.any("health", (value) => value === "none") &&
    filters.any("is-task", (value) => !/^(1|true)$/i.test(value)) &&
    filters.any("isolation", (value) => value === "default")
  );
}

export interface ListOptions {
  readonly all: boolean;
  /** The newest so many, running or not; -1 for no limit. */
  readonly limit: number;
  readonly size: boolean;
  readonly filters: Filters;
}

/** @returns JSON text, newest first */
export async function list(all: readonly Container[], options: ListOptions, view: ViewContext): Promise<string> {
  const { filters } = options;
  checkFilters(filters);
  const newest = all.toSorted((one, other) => (one.created < other.created ? 1 : -1));
  const families = await Promise.all(filters.get("ancestor").map((ancestor) => view.descendants(ancestor)));
  const family = new Set(families.flatMap((ids) => [...ids]));
  const shown = between(newest, filters).filter((container) => matches(container, filters, family, view));
  const everything =
    options.all || options.limit > 0 || filters.get("status").length + filters.get("exited").length > 0;
  const wanted = everything ? shown : shown.filter(({ state }) => state.phase === "running");
  const limited = options.limit > 0 ? wanted.slice(0, options.limit) : wanted;
  const now = Date.now();
  const summaries = limited.map((container) => summary(container, view, now));
  if (!options.size) return JSON.stringify(summaries);
  const sized = summaries.map(async (one) => {
    const [{ bytes }, image] = await Promise.all([view.usage(one.Id), view.imageSize(one.ImageID)]);
    return { ...one, SizeRw: bytes, SizeRootFs: bytes + image };
  });
  return JSON.stringify(await Promise.all(sized));
}

/** `before` and `since` name a container; the list is newest first. */
function between(newest: readonly Container[], filters: Filters): readonly Container[] {
  const position = (name: "before" | "since"): number | undefined => {
    const [reference] = filters.get(name);
    if (reference === undefined) return undefined;
    const at = newest.findIndex((one) => one.id.startsWith(reference) || one.name === reference.replace(/^\//, ""));
    if (at < 0) throw invalid(`No such container: ${reference}`);
    return at;
  };
  const before = position("before");
  return newest.slice(before === undefined ? 0 : before + 1, position("since") ?? newest.length);
}

/** `sha256:…` in short, when the user named the image so. */
const endpointOf = ({ endpoint, host }: Container, view: ViewContext) => ({
  [host.namespaces.network]: {
    IPAMConfig: null,
    Links: null,
    Aliases: null,
    MacAddress: endpoint?.macAddress ?? "",
    DriverOpts: null,
    GwPriority: 0,
    NetworkID: view.networkId(host.namespaces.network),
    EndpointID: endpoint?.id ?? "",
    Gateway: endpoint?.gateway ?? "",
    IPAddress: endpoint?.address ?? "",
    IPPrefixLen: endpoint?.prefix ?? 0,
    IPv6Gateway: "",
    GlobalIPv6Address: "",
    GlobalIPv6PrefixLen: 0,
    DNSNames: null,
  },
});

const mountsOf = ({ host }: Container) => [
  ...host.binds.map(({ source, target, readonly, propagation }) => ({
    Type: "bind",
    Source: source,
    Destination: target,
    Mode: readonly ? "ro" : "",
    RW: !readonly,
    Propagation: propagation,
  })),
];

const portsOf = ({ config, state }: Container) =>
  state.phase === "running"
    ? config.exposedPorts.map((port) => ({ PrivatePort: Number.parseInt(port, 10), Type: port.split("/")[1] ?? "tcp" }))
    : [];

/** Words as a shell would need them; Docker quotes with strconv.Quote when there is white space. */
const commandLine = (words: readonly string[]): string =>
  words.map((word) => (/\s/.test(word) ? `'${word.replaceAll("'", "'\\''")}'` : word)).join(" ");

function summary(container: Container, view: ViewContext, now: number) {
  const { id, name, created, imageId, config, host, state } = container;
  return {
    Id: id,
    Names: [`/${name}`],
    Image: config.image,
    ImageID: imageId,
    Command: commandLine([...config.entrypoint, ...config.cmd]),
    Created: Math.floor(Date.parse(created) / 1000),
    Ports: portsOf(container),
    Labels: config.labels,
    State: state.phase,
    Status: statusText(state, now),
    HostConfig: { NetworkMode: host.networkMode },
    NetworkSettings: { Networks: endpointOf(container, view) },
    Mounts: mountsOf(container),
  };
}

function stateOf(state: State) {
  const { last } = state;
  const running = state.phase === "running";
  return {
    Status: state.phase,
    Running: running,
    Paused: false,
    Restarting: false,
    OOMKilled: !running && (last?.oomKilled ?? false),
    Dead: state.phase === "dead",
    Pid: running ? state.pid : 0,
    ExitCode: running ? 0 : (last?.code ?? 0),
    Error: running ? "" : (last?.error ?? ""),
    StartedAt: running ? state.startedAt : (last?.startedAt ?? NEVER),
    FinishedAt: last?.finishedAt ?? NEVER,
  };
}

function configOf({ config }: Container) {
  return {
    Hostname: config.hostname,
    Domainname: config.domainname,
    User: config.user,
    AttachStdin: config.attachStdin,
    AttachStdout: config.attachStdout,
    AttachStderr: config.attachStderr,
    ...(config.exposedPorts.length > 0 && {
      ExposedPorts: Object.fromEntries(config.exposedPorts.map((port) => [port, {}])),
    }),
    Tty: config.tty,
    OpenStdin: config.openStdin,
    StdinOnce: config.stdinOnce,
    Env: config.env,
    Cmd: config.cmd.length > 0 ? config.cmd : null,
    Image: config.image,
    Volumes: config.volumes.length > 0 ? Object.fromEntries(config.volumes.map((path) => [path, {}])) : null,
    WorkingDir: config.workingDir,
    Entrypoint: config.entrypoint.length > 0 ? config.entrypoint : null,
    OnBuild: config.onBuild.length > 0 ? config.onBuild : null,
    Labels: config.labels,
    ...(config.stopSignal !== "" && { StopSignal: config.stopSignal }),
    ...(config.stopTimeoutS !== undefined && { StopTimeout: config.stopTimeoutS }),
  };
}

const orNull = <T>(items: readonly T[]): readonly T[] | null => (items.length > 0 ? items : null);

function hostConfigOf({ host }: Container) {
  const { resources, namespaces } = host;
  const shown = (mode: string, hidden: string) => (mode === hidden ? "" : mode);
  return {
    Binds: orNull(host.bindSpecs),
    ContainerIDFile: host.containerIdFile,
    LogConfig: { Type: host.log.driver, Config: host.log.options },
    NetworkMode: host.networkMode,
    PortBindings: {},
    RestartPolicy: { Name: "no", MaximumRetryCount: 0 },
    AutoRemove: host.autoRemove,
    VolumeDriver: "",
    VolumesFrom: null,
    ConsoleSize: host.consoleSize,
    Annotations: host.annotations,
    CapAdd: orNull(host.capAdd),
    CapDrop: orNull(host.capDrop),
    CgroupnsMode: namespaces.cgroup,
    Dns: host.dns,
    DnsOptions: host.dnsOptions,
    DnsSearch: host.dnsSearch,
    ExtraHosts: orNull(host.extraHosts),
    GroupAdd: orNull(host.groupAdd),
    IpcMode: namespaces.ipc,
    Cgroup: "",
    Links: null,
    OomScoreAdj: host.oomScoreAdj,
    PidMode: shown(namespaces.pid, "private"),
    Privileged: host.privileged,
    PublishAllPorts: false,
    ReadonlyRootfs: host.readonlyRootfs,
    SecurityOpt: orNull(host.securityOpt),
    ...(Object.keys(host.tmpfs).length > 0 && { Tmpfs: host.tmpfs }),
    UTSMode: shown(namespaces.uts, "private"),
    UsernsMode: "",
    ShmSize: host.shmSize,
    Sysctls: host.sysctls,
    Runtime: "bosun",
    Isolation: "",
    CpuShares: resources.cpuShares,
    Memory: resources.memory,
    NanoCpus: resources.nanoCpus,
    CgroupParent: "",
    BlkioWeight: 0,
    BlkioWeightDevice: null,
    BlkioDeviceReadBps: null,
    BlkioDeviceWriteBps: null,
    BlkioDeviceReadIOps: null,
    BlkioDeviceWriteIOps: null,
    CpuPeriod: resources.cpuPeriod,
    CpuQuota: resources.cpuQuota,
    CpuRealtimePeriod: 0,
    CpuRealtimeRuntime: 0,
    CpusetCpus: resources.cpusetCpus,
    CpusetMems: resources.cpusetMems,
    Devices: host.devices.map(({ hostPath, containerPath, permissions }) => ({
      PathOnHost: hostPath,
      PathInContainer: containerPath,
      CgroupPermissions: permissions,
    })),
    DeviceCgroupRules: null,
    DeviceRequests: null,
    MemoryReservation: resources.memoryReservation,
    MemorySwap: resources.memorySwap,
    MemorySwappiness: null,
    OomKillDisable: null,
    Init: host.init ?? null,
    PidsLimit: resources.pidsLimit > 0 ? resources.pidsLimit : null,
    Ulimits: host.ulimits.map(({ name, soft, hard }) => ({ Name: name, Soft: soft, Hard: hard })),
    CpuCount: 0,
    CpuPercent: 0,
    IOMaximumIOps: 0,
    IOMaximumBandwidth: 0,
    ...(host.mountSpecs.length > 0 && {
      Mounts: host.mountSpecs.map(({ type, source, target, readonly }) => ({
        Type: type,
        ...(source !== "" && { Source: source }),
        Target: target,
        ...(readonly && { ReadOnly: true }),
      })),
    }),
    MaskedPaths: host.maskedPaths ?? (host.privileged ? null : MASKED_PATHS),
    ReadonlyPaths: host.readonlyPaths ?? (host.privileged ? null : READONLY_PATHS),
  };
}

function networkSettingsOf(container: Container, view: ViewContext) {
  const { endpoint, host, state, config } = container;
  const bridged = host.namespaces.network === "bridge";
  const exposed = bridged && state.phase === "running" ? config.exposedPorts.map((port) => [port, null]) : [];
  return {
    Bridge: "",
    SandboxID: endpoint?.id ?? "",
    SandboxKey: state.phase === "running" ? `/proc/${state.pid}/ns/net` : "",
    Ports: Object.fromEntries(exposed),
    HairpinMode: false,
    LinkLocalIPv6Address: "",
    LinkLocalIPv6PrefixLen: 0,
    SecondaryIPAddresses: null,
    SecondaryIPv6Addresses: null,
    EndpointID: endpoint?.id ?? "",
    Gateway: endpoint?.gateway ?? "",
    GlobalIPv6Address: "",
    GlobalIPv6PrefixLen: 0,
    IPAddress: endpoint?.address ?? "",
    IPPrefixLen: endpoint?.prefix ?? 0,
    IPv6Gateway: "",
    MacAddress: endpoint?.macAddress ?? "",
    Networks: endpointOf(container, view),
  };
}

/** Bytes of the writable layer, and of all that the container sees. */
export interface Sizes {
  readonly rw: number;
  readonly rootFs: number;
}

/** @param sizes  when they were asked for */
export function inspect(container: Container, view: ViewContext, sizes: Sizes | undefined) {
  const { id, name, created, imageId, config, state, restartCount } = container;
  const [path = "", ...args] = [...config.entrypoint, ...config.cmd];
  const folder = view.folder(id);
  const execIds = view.execIds(id);
  return {
    Id: id,
    Created: created,
    Path: path,
    Args: args,
    State: stateOf(state),
    Image: imageId,
    ResolvConfPath: `${folder}/resolv.conf`,
    HostnamePath: `${folder}/hostname`,
    HostsPath: `${folder}/hosts`,
    LogPath: view.logPath(container),
    Name: `/${name}`,
    RestartCount: restartCount,
    Driver: view.storageDriver,
    Platform: "linux",
    MountLabel: "",
    ProcessLabel: "",
    AppArmorProfile: "",
    ExecIDs: execIds.length > 0 ? execIds : null,
    HostConfig: hostConfigOf(container),
    GraphDriver: { Name: view.storageDriver, Data: null },
    ...(sizes && { SizeRw: sizes.rw, SizeRootFs: sizes.rootFs }),
    Mounts: mountsOf(container),
    Config: configOf(container),
    NetworkSettings: networkSettingsOf(container, view),
  };
}
