/** What a configuration allows a container, in the words of our cgroups. Pure. Source: runtime-spec config-linux.md, "Control groups". */

import { invalid } from "../base/errors.ts";
import { DEVICE_RULES } from "../container/isolation.ts";
import type { BlockLimit, CgroupFeatures, CgroupFile, CgroupLimits, DeviceRule } from "../runtime/cgroup.ts";
import type { OciResources } from "./config.ts";

/** JSON's numbers end before those that Go writes for "no limit". */
const UNLIMITED_FROM = 2 ** 62;

const bytes = (value: number | undefined): number | undefined =>
  value !== undefined && value >= UNLIMITED_FROM ? -1 : value;

/** Only a text that says something, only a number that is not Go's zero. */
const unlessEmpty = (value: string | undefined): string | undefined => (value ? value : undefined);
const unlessZero = (value: number | undefined): number | undefined => (value === 0 ? undefined : value);

/** Without what is undefined. */
const given = <T extends object>(limits: T): { [K in keyof T]?: Exclude<T[K], undefined> } =>
  Object.fromEntries(Object.entries(limits).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]?: Exclude<T[K], undefined>; // what is undefined is gone
  };

const ACCESS = /^[rwm]{1,3}$/;

function deviceRule(rule: OciResources["devices"][number]): DeviceRule {
  const { allow, type, major = -1, minor = -1, access } = rule;
  if (!ACCESS.test(access)) throw invalid(`invalid device access ${JSON.stringify(access)}`);
  if (type !== "a" && type !== "b" && type !== "c") throw invalid(`invalid device type ${JSON.stringify(type)}`);
  return { allow, type, major, minor, access };
}

/** Nothing but the configuration's own, and what every container may use: its standard devices, terminals. As runc. */
const deviceRules = ({ devices }: OciResources): readonly DeviceRule[] => [
  ...DEVICE_RULES.filter(({ allow }) => !allow),
  ...devices.map(deviceRule),
  ...DEVICE_RULES.filter(({ allow }) => allow),
];

const file = (controller: string, name: string, value: number | string | undefined): readonly CgroupFile[] =>
  value === undefined ? [] : [{ controller, name, value: String(value) }];

const bit = (value: boolean | undefined): string | undefined => (value === undefined ? undefined : value ? "1" : "0");

function memoryFiles({ memory }: OciResources): readonly CgroupFile[] {
  return [
    ...file("memory", "memory.kmem.limit_in_bytes", bytes(memory?.kernel)),
    ...file("memory", "memory.kmem.tcp.limit_in_bytes", bytes(memory?.kernelTCP)),
    ...file("memory", "memory.use_hierarchy", bit(memory?.useHierarchy)),
  ];
}

const cpuFiles = ({ cpu }: OciResources): readonly CgroupFile[] => [
  ...file("cpu", "cpu.cfs_burst_us", cpu?.burst),
  ...file("cpu", "cpu.idle", cpu?.idle),
];

type Throttle = readonly { readonly major: number; readonly minor: number; readonly rate: number }[];

const throttles = (list: Throttle | undefined): readonly BlockLimit[] | undefined =>
  list?.map(({ major, minor, rate }) => ({ major, minor, value: rate }));

const blockLimits = ({ blockIO }: OciResources) => ({
  blkioWeight: unlessZero(blockIO?.weight),
  blockWeights: blockIO?.weightDevice.flatMap(({ major, minor, weight }) =>
    weight === undefined ? [] : [{ major, minor, value: weight }],
  ),
  readBps: throttles(blockIO?.throttleReadBpsDevice),
  writeBps: throttles(blockIO?.throttleWriteBpsDevice),
  readIops: throttles(blockIO?.throttleReadIOPSDevice),
  writeIops: throttles(blockIO?.throttleWriteIOPSDevice),
});

const leafWeightFiles = ({ blockIO }: OciResources): readonly CgroupFile[] => [
  ...file("blkio", "blkio.leaf_weight", blockIO?.leafWeight),
  ...(blockIO?.weightDevice ?? []).flatMap(({ major, minor, leafWeight }) =>
    leafWeight === undefined ? [] : file("blkio", "blkio.leaf_weight_device", `${major}:${minor} ${leafWeight}`),
  ),
];

const rdmaText = ({ hcaHandles, hcaObjects }: OciResources["rdma"][string]): string =>
  [
    ...(hcaHandles === undefined ? [] : [`hca_handle=${hcaHandles}`]),
    ...(hcaObjects === undefined ? [] : [`hca_object=${hcaObjects}`]),
  ].join(" ");

const rdmaFiles = ({ rdma }: OciResources): readonly CgroupFile[] =>
  Object.entries(rdma).flatMap(([device, limits]) => file("rdma", "rdma.max", `${device} ${rdmaText(limits)}`));

function filesOfV1(resources: OciResources): readonly CgroupFile[] {
  const { hugepageLimits, network } = resources;
  return [
    ...memoryFiles(resources),
    ...cpuFiles(resources),
    ...leafWeightFiles(resources),
    ...hugepageLimits.flatMap(({ pageSize, limit }) => file("hugetlb", `hugetlb.${pageSize}.limit_in_bytes`, limit)),
    ...file("net_cls", "net_cls.classid", network?.classID),
    ...(network?.priorities ?? []).flatMap(({ name, priority }) =>
      file("net_prio", "net_prio.ifpriomap", `${name} ${priority}`),
    ),
    ...rdmaFiles(resources),
  ];
}

/** What version 2 has no word for is refused rather than forgotten. */
function refuseV1Only({ memory, cpu, blockIO, network }: OciResources): void {
  const lacking = [
    ...(memory?.kernel !== undefined ? ["memory.kernel"] : []),
    ...(memory?.kernelTCP !== undefined ? ["memory.kernelTCP"] : []),
    ...(memory?.swappiness !== undefined ? ["memory.swappiness"] : []),
    ...(memory?.disableOOMKiller ? ["memory.disableOOMKiller"] : []),
    ...(cpu?.realtimeRuntime || cpu?.realtimePeriod ? ["cpu.realtimeRuntime"] : []),
    ...(blockIO?.leafWeight !== undefined ? ["blockIO.leafWeight"] : []),
    ...(network?.classID || network?.priorities.length ? ["network"] : []),
  ];
  if (lacking.length > 0) throw invalid(`cgroups of version 2 cannot do ${lacking.join(", ")}`);
}

function unifiedFile([name, value]: readonly [string, string]): readonly CgroupFile[] {
  if (!/^[A-Za-z0-9_-]+\.[A-Za-z0-9_.-]+$/.test(name))
    throw invalid(`invalid unified resource ${JSON.stringify(name)}: want a file name`);
  return file(name.split(".")[0] ?? "", name, value);
}

function filesOfV2(resources: OciResources): readonly CgroupFile[] {
  const { cpu, hugepageLimits, unified } = resources;
  refuseV1Only(resources);
  return [
    ...file("cpu", "cpu.max.burst", cpu?.burst),
    ...file("cpu", "cpu.idle", cpu?.idle),
    ...hugepageLimits.flatMap(({ pageSize, limit }) => file("hugetlb", `hugetlb.${pageSize}.max`, limit)),
    ...rdmaFiles(resources),
    ...Object.entries(unified).flatMap(unifiedFile),
  ];
}

/** Limits that this machine has no cgroup for would silently not hold. */
function refuseUnlimited(limits: CgroupLimits, features: CgroupFeatures): void {
  const lacks = (value: number | string | undefined, feature: keyof CgroupFeatures, what: string): void => {
    if (value !== undefined && value !== -1 && !features[feature])
      throw invalid(`cannot set ${what}: this machine has no cgroup for it`);
  };
  const any = (list: readonly BlockLimit[] | undefined) => (list?.length ? 1 : undefined);
  lacks(limits.memory, "memory", "memory limit");
  lacks(limits.memoryReservation, "memoryReservation", "memory reservation");
  lacks(limits.memorySwappiness, "memorySwappiness", "memory swappiness");
  lacks(limits.oomKillDisable ? 1 : undefined, "oomKillDisable", "memory.disableOOMKiller");
  lacks(limits.cpuRealtimePeriod ?? limits.cpuRealtimeRuntime, "cpuRealtime", "realtime cpu");
  lacks(limits.blkioWeight, "blockWeight", "block weight");
  lacks(any(limits.blockWeights), "blockWeightDevice", "block weight of a device");
  lacks(any(limits.readBps) ?? any(limits.readIops), "readBps", "throttling of reads");
  lacks(any(limits.writeBps) ?? any(limits.writeIops), "writeBps", "throttling of writes");
  lacks(limits.memorySwap, "swap", "memory+swap limit");
  lacks(limits.cpuShares, "cpuShares", "cpu shares");
  lacks(limits.cpuQuota ?? limits.cpuPeriod, "cpuQuota", "cpu quota");
  lacks(limits.cpusetCpus ?? limits.cpusetMems, "cpuset", "cpuset");
  lacks(limits.pidsLimit, "pids", "pids limit");
}

/**
 * @returns what `Cgroups.create` and `update` take; `devices` are for the former only
 * @throws  invalid for what the machine or its version of cgroups cannot do
 */
export function limitsOf(resources: OciResources, version: 1 | 2, features: CgroupFeatures): CgroupLimits {
  const { memory, cpu, pids, unified } = resources;
  if (version === 1 && Object.keys(unified).length > 0)
    throw invalid("cannot set unified resources: cgroup v2 is needed");
  const limits: CgroupLimits = {
    ...given({
      memory: unlessZero(bytes(memory?.limit)),
      memorySwap: unlessZero(bytes(memory?.swap)),
      memoryReservation: unlessZero(bytes(memory?.reservation)),
      cpuShares: unlessZero(cpu?.shares),
      cpuQuota: unlessZero(cpu?.quota),
      cpuPeriod: unlessZero(cpu?.period),
      cpusetCpus: unlessEmpty(cpu?.cpus),
      cpusetMems: unlessEmpty(cpu?.mems),
      memorySwappiness: memory?.swappiness,
      oomKillDisable: memory?.disableOOMKiller || undefined,
      cpuRealtimePeriod: unlessZero(cpu?.realtimePeriod),
      cpuRealtimeRuntime: unlessZero(cpu?.realtimeRuntime),
      ...blockLimits(resources),
      pidsLimit: unlessZero(pids?.limit),
    }),
    files: version === 1 ? filesOfV1(resources) : filesOfV2(resources),
  };
  refuseUnlimited(limits, features);
  return limits;
}

/** @throws invalid */
export const createLimits = (resources: OciResources, version: 1 | 2, features: CgroupFeatures): CgroupLimits => ({
  ...limitsOf(resources, version, features),
  devices: deviceRules(resources),
});
