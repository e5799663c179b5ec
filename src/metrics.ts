/** What `--metrics-addr` tells: dockerd's names where dockerd has them, and the process's own. Source: dockerd 28's /metrics. */

import { readdirSync, readFileSync } from "node:fs";
import type { Handler } from "./api/listen.ts";
import type { SystemFacts } from "./api/system.ts";
import { exposition, Histogram, type Metric, sampled, single } from "./base/metrics.ts";
import type { Containers } from "./container/containers.ts";
import { isUp } from "./container/state.ts";
import type { Events } from "./events.ts";

export interface MetricSources {
  readonly facts: SystemFacts;
  readonly id: string;
  readonly storageDriver: string;
  readonly containers: Containers;
  readonly events: Events;
}

/** What dockerd times, by method and path of the request that asks for it. */
const ACTIONS: readonly (readonly [kind: "container" | "network", action: string, method: string, path: RegExp])[] = [
  ["container", "create", "POST", /^\/containers\/create$/],
  ["container", "start", "POST", /^\/containers\/[^/]+\/start$/],
  ["container", "delete", "DELETE", /^\/containers\/[^/]+$/],
  ["container", "changes", "GET", /^\/containers\/[^/]+\/changes$/],
  ["container", "commit", "POST", /^\/commit$/],
  ["network", "create", "POST", /^\/networks\/create$/],
  ["network", "delete", "DELETE", /^\/networks\/[^/]+$/],
  ["network", "connect", "POST", /^\/networks\/[^/]+\/connect$/],
  ["network", "disconnect", "POST", /^\/networks\/[^/]+\/disconnect$/],
];

const pathOf = (url: string): string => new URL(url).pathname.replace(/^\/v\d+\.\d+(?=\/)/, "");

export class Metrics {
  readonly #actions = {
    container: new Histogram(
      "engine_daemon_container_actions_seconds",
      "The number of seconds it takes to process each container action",
      "action",
    ),
    network: new Histogram(
      "engine_daemon_network_actions_seconds",
      "The number of seconds it takes to process each network action",
      "action",
    ),
  };
  #checks = 0;
  #failedChecks = 0;

  /** A health check is over. */
  checked(isFailed: boolean): void {
    this.#checks += 1;
    if (isFailed) this.#failedChecks += 1;
  }

  /** The same API, which counts how long it takes to do what dockerd counts; refusals do not count. */
  measured(api: Handler): Handler {
    return async (request, connection) => {
      const began = performance.now();
      const response = await api(request, connection);
      const path = pathOf(request.url);
      const found = ACTIONS.find(([, , method, pattern]) => method === request.method && pattern.test(path));
      if (found && response.status < 400) this.#actions[found[0]].observe((performance.now() - began) / 1000, found[1]);
      return response;
    };
  }

  /** Answers `GET /metrics`. */
  handler(sources: MetricSources): Handler {
    const all = [...this.#daemon(sources), ...processMetrics()];
    return async (request) =>
      pathOf(request.url) === "/metrics"
        ? new Response(exposition(all), { headers: { "Content-Type": "text/plain; version=0.0.4; charset=utf-8" } })
        : new Response("404 page not found\n", { status: 404 });
  }

  #daemon({ facts: { host, version }, id, storageDriver, containers, events }: MetricSources): readonly Metric[] {
    const info = {
      ...{ architecture: host.machine, commit: version.commit, daemon_id: id, graphdriver: storageDriver },
      ...{ kernel: host.kernel, os: host.operatingSystem, os_type: "linux", os_version: host.osVersion },
      version: version.engine,
    };
    const of = (name: string) => `engine_daemon_${name}`;
    return [
      this.#actions.container,
      this.#actions.network,
      single("counter", of("health_checks_total"), "The total number of health checks", () => this.#checks),
      single(
        "counter",
        of("health_checks_failed_total"),
        "The total number of failed health checks",
        () => this.#failedChecks,
      ),
      single("counter", of("events_total"), "The number of events logged", () => events.total),
      single(
        "gauge",
        of("events_subscribers_total"),
        "The number of current subscribers to events",
        () => events.watchers,
      ),
      sampled("gauge", of("container_states_containers"), "The count of containers in various states", () =>
        states(containers),
      ),
      sampled("gauge", of("engine_info"), "The information related to the engine and the OS it is running on", () => [
        [info, 1],
      ]),
      single(
        "gauge",
        of("engine_cpus_cpus"),
        "The number of cpus that the host system of the engine has",
        () => host.cpus,
      ),
      single(
        "gauge",
        of("engine_memory_bytes"),
        "The number of bytes of memory that the host system of the engine has",
        () => host.memory,
      ),
    ];
  }
}

function states({ records }: Containers) {
  const all = records.all();
  const paused = all.filter(({ state }) => state.phase === "paused").length;
  const up = all.filter(({ state }) => isUp(state)).length;
  return [
    [{ state: "paused" }, paused],
    [{ state: "running" }, up - paused],
    [{ state: "stopped" }, all.length - up],
  ] as const;
}

/** Clock ticks in a second, as /proc counts them whatever the kernel was built with. Source: time(7), "USER_HZ". */
const TICKS = 100;

/** Source: proc_pid_stat(5); the names are those of Prometheus' client libraries. */
function processMetrics(): readonly Metric[] {
  const stat = () =>
    readFileSync("/proc/self/stat", "utf8")
      .replace(/^.*\) /s, "")
      .split(" ")
      .map(Number);
  const field = (number: number) => stat()[number - 3] ?? 0; // counted from 1; the first two are cut off
  const bootTime = Number(/^btime (\d+)$/m.exec(readFileSync("/proc/stat", "utf8"))?.[1] ?? 0);
  const limit = /^Max open files\s+(\d+)/m.exec(readFileSync("/proc/self/limits", "utf8"))?.[1];
  const one = (type: "counter" | "gauge", name: string, help: string, read: () => number) =>
    single(type, `process_${name}`, help, read);
  return [
    one(
      "counter",
      "cpu_seconds_total",
      "Total user and system CPU time spent in seconds.",
      () => (field(14) + field(15)) / TICKS,
    ),
    one("gauge", "open_fds", "Number of open file descriptors.", () => readdirSync("/proc/self/fd").length),
    one("gauge", "max_fds", "Maximum number of open file descriptors.", () => Number(limit ?? 0)),
    one("gauge", "resident_memory_bytes", "Resident memory size in bytes.", () => process.memoryUsage.rss()),
    one("gauge", "virtual_memory_bytes", "Virtual memory size in bytes.", () => field(23)),
    one("gauge", "threads", "Number of OS threads in the process.", () => field(20)),
    one(
      "gauge",
      "start_time_seconds",
      "Start time of the process since unix epoch in seconds.",
      () => bootTime + field(22) / TICKS,
    ),
  ];
}
