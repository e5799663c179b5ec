/** The blkio controller of cgroups of the first generation: limits, weights and counts of disks. */

import type { BlockLimit, BlockStats, CgroupFeatures, CgroupLimits } from "./cgroup.ts";
import { readValue } from "./cgroup-files.ts";

/** Files of the throttling, by the limit. */
const THROTTLES = {
  readBps: "blkio.throttle.read_bps_device",
  writeBps: "blkio.throttle.write_bps_device",
  readIops: "blkio.throttle.read_iops_device",
  writeIops: "blkio.throttle.write_iops_device",
} as const;

/** Weights belong to a scheduler, which names its files. Of BFQ the root of a tree has others than weights. */
const WEIGHTS = [
  { of: "blkio.weight", file: "blkio.weight", devices: "blkio.weight_device" },
  { of: "blkio.bfq.io_serviced", file: "blkio.bfq.weight", devices: "blkio.bfq.weight_device" },
] as const;

/** Whether the host has a controller, and in the root of its tree a file. */
export type Has = (controller: string, file?: string) => boolean;

export type Weights = (typeof WEIGHTS)[number];

export const weightsOf = (has: Has): Weights | undefined => WEIGHTS.find(({ of }) => has("blkio", of));

type BlockFeatures = Pick<
  CgroupFeatures,
  "blockWeight" | "blockWeightDevice" | "readBps" | "writeBps" | "readIops" | "writeIops"
>;

export const blockFeatures = (has: Has): BlockFeatures => {
  const weights = weightsOf(has) !== undefined;
  return {
    blockWeight: weights,
    blockWeightDevice: weights,
    readBps: has("blkio", THROTTLES.readBps),
    writeBps: has("blkio", THROTTLES.writeBps),
    readIops: has("blkio", THROTTLES.readIops),
    writeIops: has("blkio", THROTTLES.writeIops),
  };
};

/** The files of the blkio controller that say `limits`: a line at a time, as `8:0 1048576`. */
export function blockSettings(
  limits: CgroupLimits,
  weights: Weights | undefined,
): readonly (readonly [file: string, value: string])[] {
  const of = (file: string, list: readonly BlockLimit[] = [], lifted = "0") =>
    list.map(({ major, minor, value }): readonly [string, string] => [
      file,
      `${major}:${minor} ${value === 0 ? lifted : value}`,
    ]);
  const usual = weights?.file === "blkio.bfq.weight" ? "default" : "0";
  return [
    ...(weights && limits.blkioWeight ? [[weights.file, String(limits.blkioWeight)] as const] : []),
    ...(weights ? of(weights.devices, limits.blockWeights, usual) : []),
    ...of(THROTTLES.readBps, limits.readBps),
    ...of(THROTTLES.writeBps, limits.writeBps),
    ...of(THROTTLES.readIops, limits.readIops),
    ...of(THROTTLES.writeIops, limits.writeIops),
  ];
}

/** `MAJOR:MINOR Read N` lines of blkio.throttle files. */
function blockTable(text: string | undefined): Map<string, { read: number; write: number }> {
  const table = new Map<string, { read: number; write: number }>();
  for (const line of (text ?? "").split("\n")) {
    const [device = "", kind, value] = line.split(" ");
    if (value === undefined) continue;
    const row = table.get(device) ?? { read: 0, write: 0 };
    if (kind === "Read") row.read = Number(value);
    if (kind === "Write") row.write = Number(value);
    table.set(device, row);
  }
  return table;
}

/** @param directory  of a cgroup in the tree of blkio */
export async function blockStats(directory: string): Promise<BlockStats[]> {
  const bytes = blockTable(await readValue(directory, "blkio.throttle.io_service_bytes_recursive"));
  const counts = blockTable(await readValue(directory, "blkio.throttle.io_serviced_recursive"));
  return [...bytes].map(([device, { read, write }]) => {
    const [major = 0, minor = 0] = device.split(":").map(Number);
    const count = counts.get(device) ?? { read: 0, write: 0 };
    return { major, minor, readBytes: read, writeBytes: write, reads: count.read, writes: count.write };
  });
}
