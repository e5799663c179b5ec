/** A container as inspect shows it. A projection only; nothing is decided here. */

import type { Health } from "../container/health.ts";
import { MASKED_PATHS, READONLY_PATHS } from "../container/isolation.ts";
import type { Container } from "../container/records.ts";
import type { DiskValue, Resources } from "../container/resources.ts";
import { appArmorProfile } from "../container/security.ts";
import { isLive, isUp, NEVER } from "../container/state.ts";
import type { GraphData } from "./graph.ts";
import { mountsOf } from "./mount-view.ts";
import { networkSettings } from "./network-view.ts";
import { bindingsView } from "./ports.ts";
import type { ViewContext } from "./view-context.ts";

const healthOf = ({ status, failingStreak, log }: Health) => ({
  Status: status,
  FailingStreak: failingStreak,
  Log: log.map(({ start, end, exitCode, output }) => ({ Start: start, End: end, ExitCode: exitCode, Output: output })),
});

function stateOf({ state, health }: Container) {
  const { last } = state;
  const process = isLive(state) ? state : undefined;
  return {
    Status: state.phase,
    Running: isUp(state),
    Paused: state.phase === "paused",
    Restarting: state.phase === "restarting",
    OOMKilled: (process ? process.oomKilled : last?.oomKilled) ?? false,
    Dead: state.phase === "dead",
    Pid: process?.pid ?? 0,
    ExitCode: process ? 0 : (last?.code ?? 0),
    Error: process ? "" : (last?.error ?? ""),
    StartedAt: process?.startedAt ?? last?.startedAt ?? NEVER,
    FinishedAt: last?.finishedAt ?? NEVER,
    ...(health && { Health: healthOf(health) }),
  };
}

/** Config of an inspect. */
export function configOf({ config }: Container) {
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
    ...(config.healthcheck && { Healthcheck: config.healthcheck }),
    ...(config.shell && { Shell: config.shell }),
    ...(config.stopSignal !== "" && { StopSignal: config.stopSignal }),
    ...(config.stopTimeoutS !== undefined && { StopTimeout: config.stopTimeoutS }),
  };
}

const orNull = <T>(items: readonly T[]): readonly T[] | null => (items.length > 0 ? items : null);

const disksOf = (resources: Resources) => {
  const weights = (list: readonly DiskValue[]) =>
    orNull(list.map(({ path, value }) => ({ Path: path, Weight: value })));
  const rates = (list: readonly DiskValue[]) => orNull(list.map(({ path, value }) => ({ Path: path, Rate: value })));
  return {
    BlkioWeight: resources.blkioWeight,
    BlkioWeightDevice: weights(resources.blkioWeightDevice),
    BlkioDeviceReadBps: rates(resources.blkioDeviceReadBps),
    BlkioDeviceWriteBps: rates(resources.blkioDeviceWriteBps),
    BlkioDeviceReadIOps: rates(resources.blkioDeviceReadIops),
    BlkioDeviceWriteIOps: rates(resources.blkioDeviceWriteIops),
  };
};

function hostConfigOf(container: Container, view: ViewContext) {
  const { host } = container;
  const { resources, namespaces } = host;
  const shown = (mode: string, hidden: string) => (mode === hidden ? "" : mode);
  return {
    Binds: orNull(host.bindSpecs),
    ContainerIDFile: host.containerIdFile,
    LogConfig: { Type: host.log.driver, Config: host.log.options },
    NetworkMode: host.networkMode,
    PortBindings: bindingsView(host.portBindings),
    RestartPolicy: { Name: host.restart.name, MaximumRetryCount: host.restart.maximumRetryCount },
    AutoRemove: host.autoRemove,
    VolumeDriver: host.volumeDriver,
    VolumesFrom: orNull(host.volumesFrom),
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
    Links: orNull(view.links(container)),
    OomScoreAdj: host.oomScoreAdj,
    PidMode: shown(namespaces.pid, "private"),
    Privileged: host.privileged,
    PublishAllPorts: host.publishAll,
    ReadonlyRootfs: host.readonlyRootfs,
    SecurityOpt: orNull(host.securityOpt),
    ...(Object.keys(host.tmpfs).length > 0 && { Tmpfs: host.tmpfs }),
    UTSMode: shown(namespaces.uts, "private"),
    UsernsMode: host.usernsMode,
    ShmSize: host.shmSize,
    ...(Object.keys(host.storageOpt).length > 0 && { StorageOpt: host.storageOpt }),
    Sysctls: host.sysctls,
    Runtime: host.runtime ?? host.ownRuntime ?? "runc", // which other engines take, too, from who makes the container anew
    Isolation: host.isolation ?? "",
    CpuShares: resources.cpuShares,
    Memory: resources.memory,
    NanoCpus: resources.nanoCpus,
    CgroupParent: host.cgroupParent,
    ...disksOf(resources),
    CpuPeriod: resources.cpuPeriod,
    CpuQuota: resources.cpuQuota,
    CpuRealtimePeriod: resources.cpuRealtimePeriod,
    CpuRealtimeRuntime: resources.cpuRealtimeRuntime,
    CpusetCpus: resources.cpusetCpus,
    CpusetMems: resources.cpusetMems,
    Devices: host.devices.map(({ hostPath, containerPath, permissions }) => ({
      PathOnHost: hostPath,
      PathInContainer: containerPath,
      CgroupPermissions: permissions,
    })),
    DeviceCgroupRules: orNull(host.deviceCgroupRules),
    DeviceRequests: orNull(
      host.deviceRequests.map(({ driver, count, ids, capabilities, options }) => ({
        Driver: driver,
        Count: count,
        DeviceIDs: orNull(ids),
        Capabilities: orNull(capabilities),
        Options: options,
      })),
    ),
    MemoryReservation: resources.memoryReservation,
    MemorySwap: resources.memorySwap,
    MemorySwappiness: resources.memorySwappiness < 0 ? null : resources.memorySwappiness,
    OomKillDisable: view.canDisableOomKill ? resources.oomKillDisable : null,
    Init: host.init ?? null,
    PidsLimit: resources.pidsLimit > 0 ? resources.pidsLimit : null,
    Ulimits: host.ulimits.map(({ name, soft, hard }) => ({ Name: name, Soft: soft, Hard: hard })),
    CpuCount: 0,
    CpuPercent: 0,
    IOMaximumIOps: 0,
    IOMaximumBandwidth: 0,
    ...(host.mountSpecs.length > 0 && { Mounts: host.mountSpecs }),
    MaskedPaths: host.maskedPaths ?? (host.privileged ? null : MASKED_PATHS),
    ReadonlyPaths: host.readonlyPaths ?? (host.privileged ? null : READONLY_PATHS),
  };
}

/** Bytes of the writable layer, and of all that the container sees. */
export interface Sizes {
  readonly rw: number;
  readonly rootFs: number;
}

/** @param sizes  when they were asked for */
export function inspect(container: Container, view: ViewContext, graph: GraphData | null, sizes: Sizes | undefined) {
  const { id, name, created, imageId, config, host, restartCount } = container;
  const [path = "", ...args] = [...config.entrypoint, ...config.cmd];
  const folder = view.folder(id);
  const execIds = view.execIds(id);
  return {
    Id: id,
    Created: created,
    Path: path,
    Args: args,
    State: stateOf(container),
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
    AppArmorProfile: appArmorProfile(host.securityOpt, host.privileged, view.security),
    ExecIDs: execIds.length > 0 ? execIds : null,
    HostConfig: hostConfigOf(container, view),
    GraphDriver: { Name: view.storageDriver, Data: graph },
    ...(sizes && { SizeRw: sizes.rw, SizeRootFs: sizes.rootFs }),
    Mounts: mountsOf(container, view.volumePath),
    Config: configOf(container),
    NetworkSettings: networkSettings(container, view.findNetwork),
  };
}
