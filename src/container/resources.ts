/** What a container may take, as Docker has it: the limits of a request. */

/** A limit or a weight of one disk. */
export interface DiskValue {
  /** Of its node, on the host. */
  readonly path: string;
  readonly value: number;
}

export interface Resources {
  /** Bytes; 0 for no limit. So are the others. */
  readonly memory: number;
  /** Memory and swap together, bytes; -1 for unlimited swap. */
  readonly memorySwap: number;
  readonly memoryReservation: number;
  readonly cpuShares: number;
  /** Microseconds of `cpuPeriod`. */
  readonly cpuQuota: number;
  readonly cpuPeriod: number;
  /** Billionths of a processor: `--cpus`. */
  readonly nanoCpus: number;
  readonly cpusetCpus: string;
  readonly cpusetMems: string;
  readonly pidsLimit: number;
  /** 0..100; -1 for the host's. */
  readonly memorySwappiness: number;
  readonly oomKillDisable: boolean;
  /** Microseconds. */
  readonly cpuRealtimePeriod: number;
  readonly cpuRealtimeRuntime: number;
  /** Of all disks: 10..1000. */
  readonly blkioWeight: number;
  readonly blkioWeightDevice: readonly DiskValue[];
  /** Bytes per second. */
  readonly blkioDeviceReadBps: readonly DiskValue[];
  readonly blkioDeviceWriteBps: readonly DiskValue[];
  /** Transfers per second. */
  readonly blkioDeviceReadIops: readonly DiskValue[];
  readonly blkioDeviceWriteIops: readonly DiskValue[];
}

export const UNLIMITED: Resources = {
  ...{ memory: 0, memorySwap: 0, memoryReservation: 0, memorySwappiness: -1, oomKillDisable: false, pidsLimit: 0 },
  ...{ cpuShares: 0, cpuQuota: 0, cpuPeriod: 0, nanoCpus: 0, cpuRealtimePeriod: 0, cpuRealtimeRuntime: 0 },
  ...{ cpusetCpus: "", cpusetMems: "", blkioWeight: 0, blkioWeightDevice: [], blkioDeviceReadBps: [] },
  ...{ blkioDeviceWriteBps: [], blkioDeviceReadIops: [], blkioDeviceWriteIops: [] },
};
