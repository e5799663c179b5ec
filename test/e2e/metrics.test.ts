/** `--metrics-addr` beside the names that dockerd tells, and `--trace-start`. */

import { expect, test } from "bun:test";
import { e2e } from "../support/e2e.ts";
import { freePort } from "../support/ports.ts";

/** Of dockerd 28's /metrics, the engine's own; its host_info and start of checks time functions that we have not. */
const DOCKERS = [
  ...["container_actions_seconds", "container_states_containers", "engine_cpus_cpus", "engine_info"],
  ...["engine_memory_bytes", "events_subscribers_total", "events_total", "health_checks_failed_total"],
  ...["health_checks_total", "network_actions_seconds"],
].map((name) => `engine_daemon_${name}`);

const port = freePort();

const seriesValue = (text: string, series: string): number =>
  Number(
    text
      .split("\n")
      .find((line) => line.startsWith(`${series} `))
      ?.slice(series.length) ?? Number.NaN,
  );

e2e(
  "metrics",
  (engine) => {
    const scrape = async () => (await fetch(`http://127.0.0.1:${port}/metrics`)).text();

    test("are told under dockerd's names, and follow what happens", async () => {
      const before = await scrape();
      const id = await engine.sleeper();
      await engine.ok("network", "create", "measured");
      await engine.ok("network", "rm", "measured");
      const running = await scrape();
      for (const name of DOCKERS)
        expect(running).toMatch(new RegExp(`^# TYPE ${name} (counter|gauge|histogram)$`, "m"));
      expect(seriesValue(running, 'engine_daemon_container_states_containers{state="running"}')).toBe(1);
      expect(seriesValue(running, 'engine_daemon_container_actions_seconds_count{action="start"}')).toBe(1);
      expect(seriesValue(running, 'engine_daemon_network_actions_seconds_count{action="create"}')).toBe(1);
      const [events, later] = [before, running].map((text) => seriesValue(text, "engine_daemon_events_total"));
      expect(later).toBeGreaterThan(events ?? 0);
      expect(seriesValue(running, "process_resident_memory_bytes")).toBeGreaterThan(10 << 20);
      await engine.ok("rm", "-f", id);
      expect(seriesValue(await scrape(), 'engine_daemon_container_states_containers{state="running"}')).toBe(0);
    });

    test("are all that is answered there", async () => {
      expect((await fetch(`http://127.0.0.1:${port}/containers/json`)).status).toBe(404);
    });

    test("the log says where the time of a start goes", async () => {
      await engine.ok("run", "--rm", "--network", "none", "busybox", "true");
      await engine.daemon.stop();
      const line = engine.daemon.log.split("\n").findLast((one) => one.includes('msg="start traced"')) ?? "";
      const steps: Record<string, number> = Object.fromEntries(
        [...line.matchAll(/(\w+)=([\d.]+)(?= |$)/g)].map(([, name, ms]) => [name, Number(ms)]),
      );
      const { total = 0, id: _, ...rest } = steps;
      expect(Object.keys(rest)).toContain("process");
      expect(Object.values(rest).reduce((sum, ms) => sum + ms, 0)).toBeCloseTo(total, 0);
      await engine.daemon.launch();
    });
  },
  ["--metrics-addr", `127.0.0.1:${port}`, "--trace-start"],
);
