/** cgroups of the first generation: a tree per controller. A container gets a cgroup of the same path in every tree. */

import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { internal, invalid, kindOf, notFound } from "../base/errors.ts";
import { watchExhaustion } from "../base/exhaustion.ts";
import type { CgroupFeatures, CgroupLayout, CgroupLimits, CgroupStats, Cgroups, DeviceRule } from "./cgroup.ts";
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
  writeLines,
  writeNewValue,
  writeValue,
} from "./cgroup-files.ts";
import { blockFeatures, blockSettings, blockStats, type Has, type Weights, weightsOf } from "./cgroup-v1-disks.ts";

type Layout = Extract<CgroupLayout, { version: 1 }>;

/** USER_HZ, in which cpuacct.stat counts. Source: asm-generic/param.h. */
const TICK_NS = 1e7;
const FREEZE_TIMEOUT_MS = 10_000;
const FREEZE_PAUSE_MS = 1;

/** As the files `devices.allow` and `devices.deny` take it. */
function ruleText({ type, major, minor, access }: DeviceRule): string {
  const number = (value: number) => (value < 0 ? "*" : String(value));
  return type === "a" ? "a *:* rwm" : `${type} ${number(major)}:${number(minor)} ${access}`;
}

/** A tree, and where this process is in it. */
interface Place {
  readonly mount: string;
  readonly own: string;
}

export class CgroupsV1 implements Cgroups {
  readonly version = 1;
  readonly features: CgroupFeatures;
  readonly #places: readonly Place[];
  readonly #unified: string | undefined;
  readonly #byController: ReadonlyMap<string, Place>;
  readonly #weights: Weights | undefined;

  /** @param self  text of /proc/self/cgroup */
  constructor({ hierarchies, unified }: Layout, self = readFileSync("/proc/self/cgroup", "utf8")) {
    const own = ownPlaces(self);
    const at = (mount: string, controller: string): Place => ({ mount, own: own.get(controller) ?? "/" });
    const all = hierarchies.map(({ mount, controllers }) => ({ place: at(mount, controllers[0] ?? ""), controllers }));
    this.#unified = unified;
    this.#places = [...all.map(({ place }) => place), ...(unified === undefined ? [] : [at(unified, "")])];
    this.#byController = new Map(
      all.flatMap(({ place, controllers }) => controllers.map((name): [string, Place] => [name, place])),
    );
    const has: Has = (controller, file) => {
      const place = this.#byController.get(controller);
      return place !== undefined && (file === undefined || readdirSync(place.mount).includes(file));
    };
    this.#weights = weightsOf(has);
    this.features = {
      ...blockFeatures(has),
      memoryReservation: has("memory", "memory.soft_limit_in_bytes"),
      memorySwappiness: has("memory", "memory.swappiness"),
      oomKillDisable: has("memory", "memory.oom_control"),
      cpuRealtime: has("cpu", "cpu.rt_runtime_us"),
      memory: has("memory"),
      swap: has("memory", "memory.memsw.limit_in_bytes"),
      cpuShares: has("cpu", "cpu.shares"),
      cpuQuota: has("cpu", "cpu.cfs_quota_us"),
      cpuset: has("cpuset"),
      pids: has("pids"),
      devices: has("devices"),
      freezer: has("freezer"),
    };
  }

  get mounts(): readonly string[] {
    return this.#places.map(({ mount }) => mount);
  }

  #directories(path: string): string[] {
    return this.#places.map(({ mount, own }) => directoryIn(mount, own, path));
  }

  /** @returns undefined when the controller is not there */
  #directory(controller: string, path: string): string | undefined {
    const place = this.#byController.get(controller);
    return place && directoryIn(place.mount, place.own, path);
  }

  /** @throws invalid when the controller is not there */
  #mounted(controller: string, path: string): string {
    const directory = this.#directory(controller, path);
    if (directory === undefined) throw invalid(`Cannot limit ${path}: there is no ${controller} cgroup`);
    return directory;
  }

  async create(path: string, limits: CgroupLimits): Promise<readonly string[]> {
    await using undo = new AsyncDisposableStack();
    for (const { mount, own } of this.#places)
      for (const each of lineage(checkPath(path))) {
        const directory = directoryIn(mount, own, each);
        const isNew = makeDirectory(directory);
        if (isNew && each === path) undo.defer(() => removeTree(directory));
      }
    const cpuset = this.#directory("cpuset", path);
    if (cpuset !== undefined) await this.#inheritCpuset(cpuset);
    await this.#set(path, limits, writeNewValue);
    this.#setDevices(path, limits.devices ?? []);
    undo.move();
    return this.entrances(path);
  }

  /** A new cpuset is empty, and lets no process in. So may be one above: it was made this very moment, or by a daemon that died then. */
  async #inheritCpuset(directory: string): Promise<void> {
    if (this.mounts.includes(directory)) return;
    const above = dirname(directory);
    for (const name of ["cpuset.cpus", "cpuset.mems"]) {
      if (await readValue(directory, name)) continue;
      if (!(await readValue(above, name))) await this.#inheritCpuset(above);
      await writeNewValue(directory, name, (await readValue(above, name)) ?? "");
    }
  }

  /** Of a new cgroup. In order: later rules take back what earlier ones said. */
  #setDevices(path: string, rules: readonly DeviceRule[]): void {
    const directory = this.#directory("devices", path);
    if (directory === undefined) return;
    for (let from = 0, to = 0; from < rules.length; from = to) {
      const allow = rules[from]?.allow;
      while (rules[to]?.allow === allow && to < rules.length) to++;
      writeLines(directory, allow ? "devices.allow" : "devices.deny", rules.slice(from, to).map(ruleText));
    }
  }

  update(path: string, limits: CgroupLimits): Promise<void> {
    return this.#set(path, limits, writeValue);
  }

  async #set(path: string, limits: CgroupLimits, write: WriteValue): Promise<void> {
    const set = async (controller: string, name: string, value: number | string | undefined) => {
      const directory = this.#directory(controller, path);
      if (value !== undefined && directory !== undefined) await write(directory, name, String(value));
    };
    await this.#setMemory(path, limits, write);
    await set("memory", "memory.soft_limit_in_bytes", limits.memoryReservation);
    await set("memory", "memory.swappiness", limits.memorySwappiness);
    await set(
      "memory",
      "memory.oom_control",
      limits.oomKillDisable === undefined ? undefined : Number(limits.oomKillDisable),
    );
    await set("cpu", "cpu.rt_period_us", limits.cpuRealtimePeriod);
    await set("cpu", "cpu.rt_runtime_us", limits.cpuRealtimeRuntime);
    await set("cpu", "cpu.shares", limits.cpuShares);
    await set("cpu", "cpu.cfs_period_us", limits.cpuPeriod);
    await set("cpu", "cpu.cfs_quota_us", limits.cpuQuota);
    await set("cpuset", "cpuset.cpus", limits.cpusetCpus || undefined);
    await set("cpuset", "cpuset.mems", limits.cpusetMems || undefined);
    for (const [name, value] of blockSettings(limits, this.#weights)) await set("blkio", name, value);
    const { pidsLimit } = limits;
    await set("pids", "pids.max", pidsLimit !== undefined && pidsLimit <= 0 ? "max" : pidsLimit);
    for (const { controller, name, value } of limits.files ?? [])
      await write(this.#mounted(controller, path), name, value);
  }

  /** Memory never exceeds memory with swap, so what grows is set from the outside in, what shrinks from the inside out. */
  async #setMemory(path: string, { memory, memorySwap }: CgroupLimits, write: WriteValue): Promise<void> {
    const directory = this.#directory("memory", path);
    if (directory === undefined) return;
    const files: [string, number | undefined][] = [
      ["memory.limit_in_bytes", memory],
      ["memory.memsw.limit_in_bytes", this.features.swap ? memorySwap : undefined],
    ];
    const now = (await readLimit(directory, "memory.memsw.limit_in_bytes")) ?? Number.POSITIVE_INFINITY;
    const wanted = memorySwap === undefined || memorySwap < 0 ? Number.POSITIVE_INFINITY : memorySwap;
    if (memorySwap !== undefined && wanted > now) files.reverse();
    for (const [name, value] of files) if (value !== undefined) await write(directory, name, String(value));
  }

  async entrances(path: string): Promise<readonly string[]> {
    const isUnified = (directory: string) => this.#unified !== undefined && directory.startsWith(`${this.#unified}/`);
    return this.#directories(path).map((directory) => join(directory, isUnified(directory) ? "cgroup.procs" : "tasks"));
  }

  #anyDirectory(path: string): string {
    const directory = this.#directory("pids", path) ?? this.#directories(path)[0];
    if (directory === undefined) throw internal("Cannot find a cgroup hierarchy");
    return directory;
  }

  processes(path: string): Promise<readonly number[]> {
    return processesBelow(this.#anyDirectory(path));
  }

  /** What is frozen dies when it is thawed. */
  async kill(path: string): Promise<void> {
    await killBelow(this.#anyDirectory(path));
    await this.thaw(path).catch((error) => {
      if (kindOf(error) !== "notFound") throw error; // somebody else has removed it
    });
  }

  /** Tasks that start others while they are being frozen need the order again; there is no event for the end of it. */
  async freeze(path: string): Promise<void> {
    const freezer = this.#directory("freezer", path);
    if (freezer === undefined) throw internal("Cannot pause: the freezer cgroup is not mounted");
    const deadline = Date.now() + FREEZE_TIMEOUT_MS;
    for (;;) {
      await writeValue(freezer, "freezer.state", "FROZEN");
      if ((await readValue(freezer, "freezer.state")) === "FROZEN") return;
      if (Date.now() > deadline) {
        await writeValue(freezer, "freezer.state", "THAWED");
        throw internal(`Cannot pause ${path}: its processes do not stop`);
      }
      await Bun.sleep(FREEZE_PAUSE_MS);
    }
  }

  async thaw(path: string): Promise<void> {
    const freezer = this.#directory("freezer", path);
    if (freezer !== undefined) await writeValue(freezer, "freezer.state", "THAWED");
  }

  async isFrozen(path: string): Promise<boolean> {
    const state = await readValue(this.#directory("freezer", path) ?? "/nonexistent", "freezer.state");
    return state === "FROZEN" || state === "FREEZING";
  }

  async stats(path: string): Promise<CgroupStats> {
    if (!existsSync(this.#anyDirectory(path))) throw notFound(`no cgroup ${path}`);
    const at = (controller: string) => this.#directory(controller, path) ?? "/nonexistent";
    const ticks = await readTable(at("cpuacct"), "cpuacct.stat");
    const throttling = await readTable(at("cpu"), "cpu.stat");
    return {
      cpu: {
        total: await readNumber(at("cpuacct"), "cpuacct.usage"),
        perCpu: ((await readValue(at("cpuacct"), "cpuacct.usage_percpu")) ?? "").split(" ").filter(Boolean).map(Number),
        user: (ticks.user ?? 0) * TICK_NS,
        system: (ticks.system ?? 0) * TICK_NS,
        periods: throttling.nr_periods ?? 0,
        throttledPeriods: throttling.nr_throttled ?? 0,
        throttledNs: throttling.throttled_time ?? 0,
      },
      memory: {
        usage: await readNumber(at("memory"), "memory.usage_in_bytes"),
        limit: await readLimit(at("memory"), "memory.limit_in_bytes"),
        peak: await readNumber(at("memory"), "memory.max_usage_in_bytes"),
        failures: await readNumber(at("memory"), "memory.failcnt"),
        detail: await readTable(at("memory"), "memory.stat"),
      },
      pids: { current: await readNumber(at("pids"), "pids.current"), limit: await readLimit(at("pids"), "pids.max") },
      block: await blockStats(at("blkio")),
    };
  }

  async oomKills(path: string): Promise<number> {
    const table = await readTable(this.#directory("memory", path) ?? "/nonexistent", "memory.oom_control");
    return table.oom_kill ?? 0;
  }

  /** @see Cgroups. The kernel signals once more when the cgroup goes, which says nothing of memory. */
  watchMemory(path: string, onExhausted: () => void): Disposable {
    const directory = this.#directory("memory", path);
    if (directory === undefined) return { [Symbol.dispose]: () => {} };
    return watchExhaustion(directory, () => {
      if (existsSync(directory)) onExhausted();
    });
  }

  async remove(path: string): Promise<void> {
    const inUse = this.#directories(path).filter((directory) => !removeEmpty(directory));
    if (inUse.length === 0) return;
    await this.kill(path);
    await Promise.all(inUse.map(removeTree));
  }
}
