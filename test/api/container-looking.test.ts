/** Stats and top over made-up lower rooms: the shapes that clients read. */

import { expect, test } from "bun:test";
import { House } from "../support/house.ts";

const MEMORY = 64 << 20;

test("stats once tells what is taken now and before", async () => {
  await using house = await House.open();
  const id = await house.run(["sleep"], { HostConfig: { Memory: MEMORY } }, "?name=it");
  const { status, body } = await house.json("GET /containers/it/stats?stream=0");
  expect([status, body]).toMatchObject([
    200,
    {
      ...{ id, name: "/it", num_procs: 0, pids_stats: { current: 1 } },
      cpu_stats: {
        cpu_usage: { total_usage: 900, usage_in_kernelmode: 300, usage_in_usermode: 600 },
        ...{ system_cpu_usage: expect.any(Number), online_cpus: expect.any(Number) },
        throttling_data: { periods: 3, throttled_periods: 2, throttled_time: 1 },
      },
      precpu_stats: { cpu_usage: { total_usage: 900 }, system_cpu_usage: expect.any(Number) },
      memory_stats: { usage: 5000, max_usage: 6000, limit: MEMORY, stats: { inactive_file: 7 } },
      blkio_stats: {
        io_service_bytes_recursive: [
          { major: 8, minor: 0, op: "read", value: 10 },
          { major: 8, minor: 0, op: "write", value: 20 },
        ],
      },
    },
  ]);
  expect(Date.parse(String(body.read))).toBeGreaterThan(Date.parse(String(body.preread)));
});

test("stats one-shot tells of now alone, and at once", async () => {
  await using house = await House.open();
  const id = await house.run(["sleep"]);
  const { body } = await house.json(`GET /containers/${id}/stats?stream=0&one-shot=1`);
  expect(body).toMatchObject({ preread: "0001-01-01T00:00:00Z", precpu_stats: { cpu_usage: { total_usage: 0 } } });
  expect(body.precpu_stats).not.toHaveProperty("system_cpu_usage");
  expect((await house.json(`GET /containers/${id}/stats?one-shot=1`)).body.message).toBe(
    "cannot have stream=true and one-shot=true",
  );
});

test("stats of a container that does not run are zero", async () => {
  await using house = await House.open();
  const id = await house.create(["sleep"]);
  expect((await house.json(`GET /containers/${id}/stats?stream=0`)).body).toMatchObject({
    ...{ id, read: "0001-01-01T00:00:00Z", pids_stats: {}, memory_stats: {}, blkio_stats: {} },
    cpu_stats: { cpu_usage: { total_usage: 0 } },
  });
  expect((await house.json("GET /containers/nobody/stats")).status).toBe(404);
});

test("stats follow a container until the client leaves", async () => {
  await using house = await House.open();
  const id = await house.run(["sleep"]);
  const leaving = new AbortController();
  const { response } = await house.ask(`GET /containers/${id}/stats`, { signal: leaving.signal });
  const seen: { precpu_stats: object }[] = [];
  for await (const bytes of response.body ?? []) {
    seen.push(JSON.parse(Buffer.from(bytes).toString()));
    if (seen.length === 2) leaving.abort();
  }
  expect(seen.map(({ precpu_stats }) => "system_cpu_usage" in precpu_stats)).toEqual([false, true]);
});

test("top lists the processes of a container that runs", async () => {
  await using house = await House.open();
  const id = await house.run(["sleep"]);
  house.cgroups.pids = [process.pid];
  const { body } = await house.json(`GET /containers/${id}/top?ps_args=-eo+pid,comm`);
  expect(body).toEqual({ Titles: ["PID", "COMMAND"], Processes: [[String(process.pid), expect.any(String)]] });
  const created = await house.create(["sleep"]);
  const refused = await house.json(`GET /containers/${created}/top`);
  expect([refused.status, refused.body.message]).toEqual([409, `container ${created} is not running`]);
  expect((await house.json(`GET /containers/${id}/top?ps_args=--nonsense`)).status).toBe(400);
});
