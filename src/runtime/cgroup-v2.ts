/**
 * cgroups of the second generation: one tree. Device rules are no files there but a BPF program (shim/lib-processes.c attaches it); see
 * device-filter.ts.
 */

import { existsSync, readdirSync, readFileSync, watch } from "node:fs";
import { join } from "node:path";
import { hasCode, internal, kindOf, notFound } from "../base/errors.ts";
import { attachDeviceFilter } from "../base/processes.ts";
import type { BlockLimit, BlockStats, CgroupFeatures, CgroupLimits, CgroupStats, Cgroups } from "./cgroup.ts";
import {
  checkPath,
  directoryIn,
  killBelow,
  lineage,
  makeDirectory,
  ownPlaces,
  processesBelow,
  readLimit,
  readNumber,
  readTable,
  readValue,
  removeEmpty,
  removeTree,
  type WriteValue,
  writeNewValue,
  writeValue,
} from "./cgroup-files.ts";
import { deviceFilter } from "./device-filter.ts";

const FREEZE_TIMEOUT_MS = 10_000;
const FREEZE_PAUSE_MS = 1;
/** Bun tells changes that follow each other closely as one, and perhaps as the first. */
const LOOK_AGAIN_MS = 100;
const WANTED = ["cpu", "cpuset", "io", "memory", "pids"] as const;
const DEFAULT_PERIOD_US = 100_000;

/** v1's shares, 2..262144, as v2's weight, 1..10000. Source: runc's libcontainer and the OCI runtime-spec use this line. */
export const weightOf = (shares: number): number =>
  Math.min(10_000, Math.max(1, 1 + Math.floor(((shares - 2) * 9999) / 262_142)));

/** v1's weight of disks, 10..1000, as v2's, 1..10000. Source: runc's libcontainer uses this line. */
export const diskWeightOf = (weight: number): number => 1 + Math.floor(((weight - 10) * 9999) / 990);

const limit = (value: number): string => (value <= 0 ? "max" : String(value));

/** Keys of io.max. */
const IO_MAX = { readBps: "rbps", writeBps: "wbps", readIops: "riops", writeIops: "wiops" } as const;

/**
 * @param bfq  whether weights are BFQ's, which has a file of its own with v1's range
 */
function diskSettings(limits: CgroupLimits, bfq: boolean): readonly (readonly [file: string, value: string])[] {
  const file = bfq ? "io.bfq.weight" : "io.weight";
  const weight = (value: number) => (bfq ? value : diskWeightOf(value));
  const most = (key: keyof typeof IO_MAX) =>
    (limits[key] ?? []).map(({ major, minor, value }: BlockLimit): readonly [string, string] => [
      "io.max",
      `${major}:${minor} ${IO_MAX[key]}=${limit(value)}`,
    ]);
  return [
    ...(limits.blkioWeight
      ? [[file, bfq ? String(limits.blkioWeight) : `default ${weight(limits.blkioWeight)}`] as const]
      : []),
    ...(limits.blockWeights ?? []).map(({ major, minor, value }): readonly [string, string] => [
      file,
      `${major}:${minor} ${value === 0 ? "default" : weight(value)}`,
    ]),
    ...most("readBps"),
    ...most("writeBps"),
    ...most("readIops"),
    ...most("writeIops"),
  ];
}

/**
 * The files that say `limits`, in the order in which they are to be written.
 * @param memoryNow  bytes that memory is limited to already; swap is counted beside it, not on top
 * @param bfq        whether the weights of disks are BFQ's
 */
export function settings(
  limits: CgroupLimits,
  memoryNow = 0,
  bfq = false,
): readonly (readonly [file: string, value: string])[] {
  const { memory, memorySwap, memoryReservation, cpuShares, cpuQuota, cpuPeriod, pidsLimit } = limits;
  const files: (readonly [string, string])[] = [];
  if (memory !== undefined) files.push(["memory.max", limit(memory)]);
  if (memorySwap !== undefined)
    files.push(["memory.swap.max", memorySwap < 0 ? "max" : String(Math.max(0, memorySwap - (memory ?? memoryNow)))]);
  if (memoryReservation !== undefined) files.push(["memory.low", String(Math.max(0, memoryReservation))]);
  if (cpuShares) files.push(["cpu.weight", String(weightOf(cpuShares))]);
  if (cpuQuota !== undefined || cpuPeriod !== undefined)
    files.push(["cpu.max", `${limit(cpuQuota ?? -1)} ${cpuPeriod || DEFAULT_PERIOD_US}`]);
  if (limits.cpusetCpus) files.push(["cpuset.cpus", limits.cpusetCpus]);
  if (limits.cpusetMems) files.push(["cpuset.mems", limits.cpusetMems]);
  files.push(...diskSettings(limits, bfq));
  if (pidsLimit !== undefined) files.push(["pids.max", limit(pidsLimit)]);
  return files;
}

/** `8:0 rbytes=1 wbytes=2 rios=3 wios=4 …` */
export function parseIoStat(text: string): BlockStats[] {
  return text
    .split("\n")
    .filter((line) => line.includes("="))
    .map((line) => {
      const [device = "", ...fields] = line.split(" ");
      const [major = 0, minor = 0] = device.split(":").map(Number);
      const value = new Map(fields.map((field) => [field.split("=")[0], Number(field.split("=")[1])]));
      const of = (name: string) => value.get(name) ?? 0;
      return {
        major,
        minor,
        readBytes: of("rbytes"),
        writeBytes: of("wbytes"),
        reads: of("rios"),
        writes: of("wios"),
      };
    });
}

export class CgroupsV2 implements Cgroups {
  readonly version = 2;
  readonly features: CgroupFeatures;
  readonly #mount: string;
  readonly #own: string;

  /** @param self  text of /proc/self/cgroup */
  constructor(mount: string, self = readFileSync("/proc/self/cgroup", "utf8")) {
    this.#mount = mount;
    this.#own = ownPlaces(self).get("") ?? "/";
    const available = readFileSync(join(mount, "cgroup.controllers"), "utf8").split(/\s+/);
    const has = (controller: string): boolean => available.includes(controller);
    const io = has("io");
    this.features = {
      memoryReservation: has("memory"),
      memorySwappiness: false,
      oomKillDisable: false,
      cpuRealtime: false,
      blockWeight: io,
      blockWeightDevice: io,
      ...{ readBps: io, writeBps: io, readIops: io, writeIops: io },
      memory: has("memory"),
      swap: has("memory"),
      cpuShares: has("cpu"),
      cpuQuota: has("cpu"),
      cpuset: has("cpuset"),
      pids: has("pids"),
      devices: true,
      freezer: true,
    };
  }

  get mounts(): readonly string[] {
    return [this.#mount];
  }

  #directory(path: string): string {
    return directoryIn(this.#mount, this.#own, path);
  }

  /** Controllers reach a cgroup only when every one above it passes them on. */
  async #passOn(directory: string): Promise<void> {
    const here = ((await readValue(directory, "cgroup.controllers")) ?? "").split(" ");
    const passed = ((await readValue(directory, "cgroup.subtree_control")) ?? "").split(" ");
    for (const controller of WANTED.filter((name) => here.includes(name) && !passed.includes(name)))
      await writeNewValue(directory, "cgroup.subtree_control", `+${controller}`);
  }

  async create(path: string, limits: CgroupLimits): Promise<readonly string[]> {
    await using undo = new AsyncDisposableStack();
    const directory = this.#directory(path);
    await this.#passOn(this.#mount);
    for (const each of lineage(checkPath(path))) {
      const isNew = makeDirectory(this.#directory(each));
      if (isNew && each === path) undo.defer(() => removeTree(directory));
      if (each !== path) await this.#passOn(this.#directory(each));
    }
    await this.#set(path, limits, writeNewValue);
    if (limits.devices) attachDeviceFilter(directory, deviceFilter(limits.devices));
    undo.move();
    return this.entrances(path);
  }

  update(path: string, limits: CgroupLimits): Promise<void> {
    return this.#set(path, limits, writeValue);
  }

  async #set(path: string, limits: CgroupLimits, write: WriteValue): Promise<void> {
    const directory = this.#directory(path);
    const memoryNow = await readLimit(directory, "memory.max");
    const bfq = (await readValue(directory, "io.bfq.weight")) !== undefined;
    for (const [name, value] of settings(limits, memoryNow, bfq)) await write(directory, name, value);
    for (const { name, value } of limits.files ?? []) await write(directory, name, value);
  }

  async entrances(path: string): Promise<readonly string[]> {
    return [join(this.#directory(path), "cgroup.procs")];
  }

  processes(path: string): Promise<readonly number[]> {
    return processesBelow(this.#directory(path));
  }

  /** The kernel kills all at once from 5.14 on. */
  async kill(path: string): Promise<void> {
    const directory = this.#directory(path);
    if ((await readValue(directory, "cgroup.events")) === undefined) return;
    try {
      await writeValue(directory, "cgroup.kill", "1");
    } catch (error) {
      const cause = error instanceof Error ? error.cause : undefined;
      if (kindOf(error) === "notFound" || hasCode(cause, "ENODEV")) return; // somebody else removes it just now
      if (!hasCode(cause, "ENOENT", "EACCES", "EPERM")) throw error;
      await killBelow(directory);
    }
  }

  async freeze(path: string): Promise<void> {
    const directory = this.#directory(path);
    const deadline = Date.now() + FREEZE_TIMEOUT_MS;
    await writeValue(directory, "cgroup.freeze", "1");
    while ((await readTable(directory, "cgroup.events")).frozen !== 1) {
      if (Date.now() > deadline) {
        await this.thaw(path);
        throw internal(`Cannot pause ${path}: its processes do not stop`);
      }
      await Bun.sleep(FREEZE_PAUSE_MS);
    }
  }

  async thaw(path: string): Promise<void> {
    await writeValue(this.#directory(path), "cgroup.freeze", "0");
  }

  async isFrozen(path: string): Promise<boolean> {
    return (await readValue(this.#directory(path), "cgroup.freeze")) === "1";
  }

  async stats(path: string): Promise<CgroupStats> {
    const directory = this.#directory(path);
    if (!existsSync(directory)) throw notFound(`no cgroup ${path}`);
    const cpu = await readTable(directory, "cpu.stat");
    const events = await readTable(directory, "memory.events");
    const ns = (name: string) => (cpu[name] ?? 0) * 1000;
    return {
      cpu: {
        total: ns("usage_usec"),
        perCpu: [],
        user: ns("user_usec"),
        system: ns("system_usec"),
        periods: cpu.nr_periods ?? 0,
        throttledPeriods: cpu.nr_throttled ?? 0,
        throttledNs: ns("throttled_usec"),
      },
      memory: {
        usage: await readNumber(directory, "memory.current"),
        limit: await readLimit(directory, "memory.max"),
        peak: await readNumber(directory, "memory.peak"),
        failures: events.max ?? 0,
        detail: await readTable(directory, "memory.stat"),
      },
      pids: { current: await readNumber(directory, "pids.current"), limit: await readLimit(directory, "pids.max") },
      block: parseIoStat((await readValue(directory, "io.stat")) ?? ""),
    };
  }

  async oomKills(path: string): Promise<number> {
    return (await readTable(this.#directory(path), "memory.events")).oom_kill ?? 0;
  }

  /** memory.events changes when there is less memory, too; what counts is that the killer was called. */
  watchMemory(path: string, onExhausted: () => void): Disposable {
    const directory = this.#directory(path);
    if (!readdirSync(directory).includes("memory.events")) return { [Symbol.dispose]: () => {} };
    const file = join(directory, "memory.events");
    const count = (): number => {
      try {
        return Number(/^oom (\d+)$/m.exec(readFileSync(file, "utf8"))?.[1] ?? 0);
      } catch (error) {
        if (hasCode(error, "ENOENT", "ENODEV")) return 0; // it has gone
        throw error;
      }
    };
    let seen = count();
    const look = () => {
      const now = count();
      if (now > seen) onExhausted();
      seen = Math.max(seen, now);
    };
    let again: Timer | undefined;
    const watcher = watch(file, () => {
      look();
      clearTimeout(again);
      again = setTimeout(look, LOOK_AGAIN_MS).unref();
    });
    return {
      [Symbol.dispose]() {
        clearTimeout(again);
        watcher.close();
      },
    };
  }

  async remove(path: string): Promise<void> {
    const directory = this.#directory(path);
    if (removeEmpty(directory)) return;
    await this.kill(path);
    await removeTree(directory);
  }
}
