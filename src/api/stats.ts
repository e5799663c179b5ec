/** GET /containers/{id}/stats. Source: Docker Engine API, ContainerStats; wire-notes section 5. */

import { totalmem } from "node:os";
import { setTimeout as pause } from "node:timers/promises";
import { invalid } from "../base/errors.ts";
import type { Containers } from "../container/containers.ts";
import { NEVER } from "../container/state.ts";
import type { Sample, Traffic } from "../container/stats.ts";
import { type Ctx, flag, json, param } from "./context.ts";
import { jsonLines } from "./jsonl.ts";

const INTERVAL_MS = 1000;

const cpuOf = (sample: Sample | undefined) => {
  if (!sample)
    return { cpu_usage: usage(0, 0, 0), throttling_data: { periods: 0, throttled_periods: 0, throttled_time: 0 } };
  const { cpu } = sample.cgroup;
  return {
    cpu_usage: {
      ...usage(cpu.total, cpu.system, cpu.user),
      ...(cpu.perCpu.length > 0 && { percpu_usage: cpu.perCpu }),
    },
    system_cpu_usage: sample.systemCpuNs,
    online_cpus: sample.onlineCpus,
    throttling_data: {
      periods: cpu.periods,
      throttled_periods: cpu.throttledPeriods,
      throttled_time: cpu.throttledNs,
    },
  };
};

const usage = (total: number, kernel: number, user: number) => ({
  ...{ total_usage: total, usage_in_kernelmode: kernel, usage_in_usermode: user },
});

function memoryOf({ cgroup: { memory } }: Sample) {
  const { usage: now, limit, peak, failures, detail } = memory;
  return {
    usage: now,
    ...(peak > 0 && { max_usage: peak }),
    stats: detail,
    ...(failures > 0 && { failcnt: failures }),
    limit: Math.min(limit ?? Number.POSITIVE_INFINITY, totalmem()),
  };
}

/** What only the first generation of cgroups had, and kernels no longer fill. */
const UNFILLED = ["io_queue", "io_service_time", "io_wait_time", "io_merged", "io_time", "sectors"];

const NO_BLOCKS = Object.fromEntries(
  ["io_service_bytes", "io_serviced", ...UNFILLED].map((name) => [`${name}_recursive`, null]),
);

function blockOf({ cgroup: { block } }: Sample) {
  const entries = (read: "readBytes" | "reads", write: "writeBytes" | "writes") =>
    block.flatMap(({ major, minor, ...counts }) => [
      { major, minor, op: "read", value: counts[read] },
      { major, minor, op: "write", value: counts[write] },
    ]);
  return {
    io_service_bytes_recursive: entries("readBytes", "writeBytes"),
    io_serviced_recursive: entries("reads", "writes"),
    ...Object.fromEntries(UNFILLED.map((name) => [`${name}_recursive`, []])),
  };
}

const trafficOf = (prefix: "rx" | "tx", { bytes, packets, errors, dropped }: Traffic) => ({
  [`${prefix}_bytes`]: bytes,
  [`${prefix}_packets`]: packets,
  [`${prefix}_errors`]: errors,
  [`${prefix}_dropped`]: dropped,
});

const networksOf = ({ interfaces }: Sample) =>
  Object.fromEntries(
    interfaces.map(({ name, received, sent }) => [name, { ...trafficOf("rx", received), ...trafficOf("tx", sent) }]),
  );

interface Named {
  readonly id: string;
  readonly name: string;
}

/** @param sample  undefined of one that does not run: all is zero then */
function wire({ id, name }: Named, sample: Sample | undefined, before: Sample | undefined) {
  const common = {
    ...{ id, name: `/${name}`, num_procs: 0, storage_stats: {} },
    read: sample?.at.toISOString() ?? NEVER,
    preread: before?.at.toISOString() ?? NEVER,
    cpu_stats: cpuOf(sample),
    precpu_stats: cpuOf(before),
  };
  if (!sample) return { ...common, pids_stats: {}, memory_stats: {}, blkio_stats: NO_BLOCKS };
  const { current, limit } = sample.cgroup.pids;
  return {
    ...common,
    pids_stats: { current, ...(limit !== undefined && { limit }) },
    memory_stats: memoryOf(sample),
    blkio_stats: blockOf(sample),
    ...(sample.interfaces.length > 0 && { networks: networksOf(sample) }),
  };
}

/** One object a second, until the container is removed or the signal aborts. */
async function* follow(containers: Containers, id: string, signal: AbortSignal): AsyncGenerator<unknown> {
  let before: Sample | undefined;
  while (!signal.aborted) {
    const container = containers.records.find(id);
    if (!container) return;
    const now = await containers.sample(id);
    yield wire(container, now, before);
    before = now;
    await pause(INTERVAL_MS, undefined, { signal }).catch(() => {}); // the client has left
  }
}

/** Docker waits for a second sample, so that there is a difference to tell, unless it is told not to. */
async function once(containers: Containers, { id, name }: Named, isOneShot: boolean): Promise<Response> {
  const first = await containers.sample(id);
  if (isOneShot || !first) return json(wire({ id, name }, first, undefined));
  await pause(INTERVAL_MS);
  return json(wire({ id, name }, await containers.sample(id), first));
}

export function stats(c: Ctx, containers: Containers): Response | Promise<Response> {
  const container = containers.get(param(c, "id"));
  const isOneShot = flag(c, "one-shot");
  const isStream = flag(c, "stream", true);
  if (isStream && isOneShot) throw invalid("cannot have stream=true and one-shot=true");
  if (!isStream) return once(containers, container, isOneShot);
  return jsonLines(follow(containers, container.id, c.env.signal), "\n");
}
