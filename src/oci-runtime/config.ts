/** A container's configuration, `config.json` of a bundle. Pure. Source: runtime-spec v1.2, config.md and config-linux.md, schema/. */

import {
  anything,
  type Decoded,
  flag,
  list,
  natural,
  number,
  object,
  oneOf,
  optional,
  record,
  text,
  withDefault,
} from "./schema.ts";

/** The newest that we know. */
export const SPEC_VERSION = "1.2.0";

const box = object({ height: natural, width: natural });

const rlimit = object({ type: text, soft: natural, hard: natural });

const capabilities = object({
  bounding: list(text),
  effective: list(text),
  permitted: list(text),
  inheritable: list(text),
  ambient: list(text),
});

const scheduler = object({
  policy: text,
  nice: withDefault(number, 0),
  priority: withDefault(number, 0),
  flags: list(text),
  runtime: withDefault(natural, 0),
  deadline: withDefault(natural, 0),
  period: withDefault(natural, 0),
});

export const processDecoder = object({
  terminal: withDefault(flag, false),
  consoleSize: optional(box),
  user: withDefault(
    object({
      uid: withDefault(natural, 0),
      gid: withDefault(natural, 0),
      umask: optional(natural),
      additionalGids: list(natural),
    }),
    { uid: 0, gid: 0, umask: undefined, additionalGids: [] },
  ),
  args: list(text),
  env: list(text),
  cwd: text,
  capabilities: optional(capabilities),
  rlimits: list(rlimit),
  noNewPrivileges: withDefault(flag, false),
  apparmorProfile: withDefault(text, ""),
  oomScoreAdj: optional(number),
  scheduler: optional(scheduler),
  selinuxLabel: withDefault(text, ""),
  ioPriority: optional(object({ class: text, priority: withDefault(natural, 0) })),
  execCPUAffinity: optional(anything),
});

const mapping = object({ containerID: natural, hostID: natural, size: natural });

const mount = object({
  destination: text,
  type: withDefault(text, ""),
  source: withDefault(text, ""),
  options: list(text),
  uidMappings: list(mapping),
  gidMappings: list(mapping),
});

const hook = object({ path: text, args: list(text), env: list(text), timeout: optional(natural) });

const hooks = object({
  prestart: list(hook),
  createRuntime: list(hook),
  createContainer: list(hook),
  startContainer: list(hook),
  poststart: list(hook),
  poststop: list(hook),
});

export const NAMESPACES = ["pid", "network", "mount", "ipc", "uts", "user", "cgroup", "time"] as const;

const device = object({
  type: oneOf("c", "u", "b", "p"),
  path: text,
  major: withDefault(natural, 0),
  minor: withDefault(natural, 0),
  fileMode: withDefault(natural, 0o666),
  uid: withDefault(natural, 0),
  gid: withDefault(natural, 0),
});

const throttle = list(object({ major: natural, minor: natural, rate: natural }));

export const resourcesDecoder = object({
  unified: record(text),
  devices: list(
    object({
      allow: flag,
      type: withDefault(text, "a"),
      major: optional(number),
      minor: optional(number),
      access: withDefault(text, "rwm"),
    }),
  ),
  memory: optional(
    object({
      limit: optional(number),
      reservation: optional(number),
      swap: optional(number),
      kernel: optional(number),
      kernelTCP: optional(number),
      swappiness: optional(natural),
      disableOOMKiller: optional(flag),
      useHierarchy: optional(flag),
      checkBeforeUpdate: optional(flag),
    }),
  ),
  pids: optional(object({ limit: withDefault(number, 0) })),
  cpu: optional(
    object({
      shares: optional(natural),
      quota: optional(number),
      burst: optional(natural),
      period: optional(natural),
      realtimeRuntime: optional(number),
      realtimePeriod: optional(natural),
      cpus: withDefault(text, ""),
      mems: withDefault(text, ""),
      idle: optional(number),
    }),
  ),
  blockIO: optional(
    object({
      weight: optional(natural),
      leafWeight: optional(natural),
      weightDevice: list(
        object({ major: natural, minor: natural, weight: optional(natural), leafWeight: optional(natural) }),
      ),
      throttleReadBpsDevice: throttle,
      throttleWriteBpsDevice: throttle,
      throttleReadIOPSDevice: throttle,
      throttleWriteIOPSDevice: throttle,
    }),
  ),
  hugepageLimits: list(object({ pageSize: text, limit: natural })),
  network: optional(
    object({ classID: optional(natural), priorities: list(object({ name: text, priority: natural })) }),
  ),
  rdma: record(object({ hcaHandles: optional(natural), hcaObjects: optional(natural) })),
});

const linux = object({
  namespaces: list(object({ type: oneOf(...NAMESPACES), path: withDefault(text, "") })),
  uidMappings: list(mapping),
  gidMappings: list(mapping),
  timeOffsets: record(anything),
  devices: list(device),
  netDevices: record(anything),
  cgroupsPath: withDefault(text, ""),
  rootfsPropagation: withDefault(text, ""),
  seccomp: optional(anything),
  sysctl: record(text),
  maskedPaths: list(text),
  readonlyPaths: list(text),
  mountLabel: withDefault(text, ""),
  resources: optional(resourcesDecoder),
  intelRdt: optional(anything),
  memoryPolicy: optional(anything),
  personality: optional(object({ domain: text, flags: list(text) })),
});

export const configDecoder = object({
  ociVersion: text,
  hostname: withDefault(text, ""),
  domainname: withDefault(text, ""),
  root: optional(object({ path: text, readonly: withDefault(flag, false) })),
  mounts: list(mount),
  process: optional(processDecoder),
  hooks: optional(hooks),
  annotations: record(text),
  linux: optional(linux),
});

export type OciConfig = Decoded<typeof configDecoder>;
export type OciProcess = Decoded<typeof processDecoder>;
export type OciMount = Decoded<typeof mount>;
export type OciHook = Decoded<typeof hook>;
export type OciDevice = Decoded<typeof device>;
export type OciResources = Decoded<typeof resourcesDecoder>;
export type OciLinux = Decoded<typeof linux>;
export type NamespaceKind = (typeof NAMESPACES)[number];
