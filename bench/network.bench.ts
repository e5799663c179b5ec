/**
 * What networks cost: the time that they add to a container's start, connections of running ones, how fast bytes get through, and what many
 * containers on one bridge do to the start of the next. Engines that run without networks here are left out, with their reason.
 */

import { TINY } from "./corpus.ts";
import { type Engine, run } from "./engine.ts";
import { able, type Bench, inTurns, median, type Row, samplesInTurns, wall } from "./measure.ts";

const ROUNDS = 20;
const STREAM_S = 2;
const STREAM_ROUNDS = 5;
/** Containers on one bridge, each with a published port. */
const MANY = 500;
const STREAM = new URL("stream.ts", import.meta.url).pathname;

const NETWORK = "bench-network";
const PORT = 5201;

const runOnce = (engine: Engine, ...flags: string[]): Promise<number> =>
  wall(() => run(engine, "run", "--rm", ...flags, TINY, "true"));

/** Milliseconds that flags add, each measured beside a run without a network. */
const added = (engines: readonly Engine[], ...flags: string[]): Promise<Map<string, number>> =>
  inTurns(engines, ROUNDS, async (engine) => {
    const without = await runOnce(engine, "--network", "none");
    return (await runOnce(engine, ...flags)) - without;
  });

async function connecting(engines: readonly Engine[]): Promise<readonly Row[]> {
  const ready = await able(engines, async (engine) => {
    await run(engine, "network", "create", NETWORK);
    await run(engine, "run", "-d", "--name", "bench-net", TINY, "sleep", "600");
  });
  const samples = await samplesInTurns(ready, ROUNDS, async (engine) => ({
    connect: await wall(() => run(engine, "network", "connect", NETWORK, "bench-net")),
    disconnect: await wall(() => run(engine, "network", "disconnect", NETWORK, "bench-net")),
  }));
  await able(ready, async (engine) => {
    await run(engine, "rm", "-f", "bench-net");
    await run(engine, "network", "rm", NETWORK);
  });
  return (["connect", "disconnect"] as const).map((what) => ({
    claim: `network ${what}`,
    unit: "ms",
    bound: "client, and a veth pair",
    values: new Map([...samples].map(([name, all]) => [name, median(all.map((one) => one[what]))])),
  }));
}

const field = async (engine: Engine, container: string, format: string): Promise<string> =>
  (await run(engine, "inspect", "-f", format, container)).trim();

const pidOf = (engine: Engine, container: string): Promise<string> => field(engine, container, "{{.State.Pid}}");

/** @param pid  whose network it is in; undefined for the host's. @returns MB/s */
async function sendTo(address: string, port: number, pid?: string): Promise<number> {
  const inside = pid === undefined ? [] : ["nsenter", "-t", pid, "-n"];
  const words = [process.execPath, STREAM, "send", address, String(port), String(STREAM_S)];
  const child = Bun.spawn([...inside, ...words], { stdout: "pipe" });
  return Number(await child.stdout.text());
}

async function throughput(engines: readonly Engine[]): Promise<readonly Row[]> {
  const servers: Bun.Subprocess[] = [];
  const ready = await able(engines, async (engine) => {
    await run(engine, "run", "-d", "--name", "bench-server", "-p", String(PORT), TINY, "sleep", "600");
    await run(engine, "run", "-d", "--name", "bench-client", TINY, "sleep", "600");
    const inside = ["nsenter", "-t", await pidOf(engine, "bench-server"), "-n"];
    const server = Bun.spawn([...inside, process.execPath, STREAM, "serve", String(PORT)], { stdout: "pipe" });
    servers.push(server);
    await server.stdout.getReader().read(); // it listens
  });
  const address = (engine: Engine) => field(engine, "bench-server", "{{.NetworkSettings.Networks.bridge.IPAddress}}");
  const hostPort = async (engine: Engine) =>
    Number((await run(engine, "port", "bench-server", String(PORT))).split("\n")[0]?.split(":").at(-1));
  try {
    const between = await inTurns(ready, STREAM_ROUNDS, async (engine) =>
      sendTo(await address(engine), PORT, await pidOf(engine, "bench-client")),
    );
    const published = await inTurns(ready, STREAM_ROUNDS, async (engine) =>
      sendTo("127.0.0.1", await hostPort(engine)),
    );
    const relayed = await inTurns(ready, STREAM_ROUNDS, async (engine) => sendTo("::1", await hostPort(engine)));
    return [
      { claim: "stream, container to container", unit: "MB/s", bound: "a bridge", values: between },
      {
        claim: "stream, published port, 127.0.0.1",
        unit: "MB/s",
        bound: "a bridge, and translation",
        values: published,
      },
      { claim: "stream, published port, ::1 (relayed)", unit: "MB/s", bound: "splice(2)", values: relayed },
    ];
  } finally {
    for (const server of servers) server.kill("SIGKILL");
    await able(ready, (engine) => run(engine, "rm", "-f", "bench-server", "bench-client"));
  }
}

/** Whether the last containers of many start as fast as the first: what is set for each must not be looked through for the next. */
async function crowd(engines: readonly Engine[]): Promise<readonly Row[]> {
  const [first, last] = [new Map<string, number>(), new Map<string, number>()];
  const done = await able(engines, async (engine) => {
    const times: number[] = [];
    for (let at = 0; at < MANY; at++)
      times.push(
        await wall(() => run(engine, "run", "-d", "--name", `bench-${at}`, "-p", "80", TINY, "sleep", "3600")),
      );
    first.set(engine.name, median(times.slice(0, MANY / 10)));
    last.set(engine.name, median(times.slice(-MANY / 10)));
  });
  const names = Array.from({ length: MANY }, (_, at) => `bench-${at}`);
  await able(done, (engine) => run(engine, "rm", "-f", ...names));
  const claim = (which: string) => `run -d -p 80, the ${which} ${MANY / 10} of ${MANY}`;
  return [
    { claim: claim("first"), unit: "ms", bound: "", values: first },
    { claim: claim("last"), unit: "ms", bound: "as the first", values: last },
  ];
}

export const networkBench: Bench = {
  name: "network",
  async run(engines) {
    return [
      {
        claim: "added by the default bridge",
        unit: "ms",
        bound: "1-2 ms for a veth pair",
        values: await added(engines),
      },
      {
        claim: "added by it and a published port",
        unit: "ms",
        bound: "and a process that holds it",
        values: await added(engines, "-p", "80"),
      },
      ...(await connecting(engines)),
      ...(await throughput(engines)),
      ...(await crowd(engines)),
    ];
  },
};
