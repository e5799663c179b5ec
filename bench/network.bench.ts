/**
 * What networks cost: the time that they add to a container's start, connections of running ones, how fast bytes get through, and names into addresses.
 * Each engine has networks of its own; judges are iperf3 and dnsperf, which run in the containers' network namespaces.
 */

import { join } from "node:path";
import { TINY } from "./corpus.ts";
import { type Engine, PATH, run } from "./engine.ts";
import { able, type Bench, inTurns, median, type Row, type Setting, samplesInTurns, wall } from "./measure.ts";

const ROUNDS = 20;
const TRAFFIC_ROUNDS = 5;
const TRAFFIC_S = 2;

const NETWORK = "bench-network";
const SERVER = "bench-server";
const CLIENT = "bench-client";
const PORT = 5201;

const runOnce = (engine: Engine, ...flags: string[]): Promise<number> =>
  wall(() => run(engine, "run", "--rm", ...flags, TINY, "true"));

interface Added {
  readonly bridge: number;
  readonly port: number;
}

/** Milliseconds that a bridge adds to a start, and a published port to that: each run beside one without. */
async function added(engines: readonly Engine[]): Promise<readonly Row[]> {
  const samples = await samplesInTurns(engines, ROUNDS, async (engine): Promise<Added> => {
    const none = await runOnce(engine, "--network", "none");
    const bridge = await runOnce(engine);
    return { bridge: bridge - none, port: (await runOnce(engine, "-p", "80")) - bridge };
  });
  const row = (what: keyof Added) =>
    new Map([...samples].map(([name, all]) => [name, median(all.map((a) => a[what]))]));
  return [
    { claim: "added by the default bridge", unit: "ms", bound: "1-2 ms for a veth pair", values: row("bridge") },
    { claim: "added to it by a published port", unit: "ms", bound: "", values: row("port") },
  ];
}

async function connecting(engines: readonly Engine[]): Promise<readonly Row[]> {
  const samples = await samplesInTurns(engines, ROUNDS, async (engine) => ({
    connect: await wall(() => run(engine, "network", "connect", NETWORK, "bench-net")),
    disconnect: await wall(() => run(engine, "network", "disconnect", NETWORK, "bench-net")),
  }));
  return (["connect", "disconnect"] as const).map((what) => ({
    claim: `network ${what}`,
    unit: "ms",
    bound: "client, and a veth pair",
    values: new Map([...samples].map(([name, all]) => [name, median(all.map((one) => one[what]))])),
  }));
}

const field = async (engine: Engine, container: string, format: string): Promise<string> =>
  (await run(engine, "inspect", "-f", format, container)).trim();

/** @returns a host's command, in the networks of a container */
async function within(engine: Engine, container: string, ...words: string[]): Promise<string[]> {
  return ["nsenter", "-t", await field(engine, container, "{{.State.Pid}}"), "-n", "--", ...words];
}

/** @returns what it prints. @throws Error with its own words when it fails */
async function judged(command: readonly string[]): Promise<string> {
  const child = Bun.spawn([...command], {
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
    env: { ...process.env, PATH },
  });
  const [out, err, code] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
  if (code !== 0) throw new Error(`${command.join(" ")}: exit code ${code}\n${out}${err}`);
  return out;
}

interface Report {
  readonly end: { readonly sum_received: { readonly bits_per_second: number } };
}

/** @param command  what makes it a neighbour's, or a container's. @returns Gbit/s that arrived */
async function stream(command: readonly string[]): Promise<number> {
  const { end }: Report = JSON.parse(await judged([...command, "-J", "-t", `${TRAFFIC_S}`]));
  return end.sum_received.bits_per_second / 1e9;
}

const iperf = (address: string, port: number): string[] => ["iperf3", "-c", address, "-p", `${port}`];

async function throughput(engines: readonly Engine[]): Promise<readonly Row[]> {
  const servers: Bun.Subprocess[] = [];
  const ready = await able(engines, async (engine) => {
    const command = await within(engine, SERVER, "iperf3", "-s", "-p", `${PORT}`, "--forceflush");
    const server = Bun.spawn(command, {
      stdin: "ignore",
      stdout: "pipe",
      stderr: "ignore",
      env: { ...process.env, PATH },
    });
    servers.push(server);
    await server.stdout.getReader().read(); // it listens
  });
  const address = (engine: Engine) =>
    field(engine, SERVER, `{{(index .NetworkSettings.Networks "${NETWORK}").IPAddress}}`);
  const published = async (engine: Engine): Promise<number> =>
    Number((await run(engine, "port", SERVER, `${PORT}`)).split("\n")[0]?.split(":").at(-1));
  try {
    const between = await inTurns(ready, TRAFFIC_ROUNDS, async (engine) =>
      stream(await within(engine, CLIENT, ...iperf(await address(engine), PORT))),
    );
    const from = (where: "inside" | "outside", at?: string) =>
      inTurns(ready, TRAFFIC_ROUNDS, async (engine) => {
        if (!engine.pen) throw new Error("it has no networks of its own");
        return stream(engine.pen[where](...iperf(at ?? engine.pen.address, await published(engine))));
      });
    const [outside, inside, relayed] = [
      await from("outside"),
      await from("inside", "127.0.0.1"),
      await from("inside", "::1"),
    ];
    const row = (claim: string, values: Row["values"]): Row => ({
      claim: `iperf3, ${claim}`,
      unit: "Gbit/s",
      bound: "",
      more: true,
      values,
    });
    return [
      row("container to container", between),
      row("published port, from another host", outside),
      row("published port, from 127.0.0.1", inside),
      row("published port, from ::1", relayed),
    ];
  } finally {
    for (const server of servers) server.kill("SIGKILL");
  }
}

/** Names into addresses, as a container asks for them: the other container's, of the engine's own server. */
async function names(engines: readonly Engine[], { folder }: Setting): Promise<readonly Row[]> {
  const questions = join(folder, "questions");
  await Bun.write(questions, `${SERVER} A\n`);
  const ask = async (engine: Engine, ...flags: string[]): Promise<string> => {
    const server = /^nameserver (\S+)/m.exec(await run(engine, "exec", CLIENT, "cat", "/etc/resolv.conf"))?.[1] ?? "";
    return judged(
      await within(engine, CLIENT, "dnsperf", "-s", server, "-d", questions, "-l", `${TRAFFIC_S}`, ...flags),
    );
  };
  const rate = await inTurns(engines, TRAFFIC_ROUNDS, async (engine) => {
    const report = await ask(engine, "-q", "16");
    if (!/NOERROR \d+ \(100\.00%\)/.test(report)) throw new Error(`not every answer was one:\n${report}`);
    return Number(/Queries per second:\s+([\d.]+)/.exec(report)?.[1]);
  });
  const slowest = await inTurns(engines, TRAFFIC_ROUNDS, async (engine) => {
    const report = await ask(engine, "-q", "4", "-v");
    const times = [...report.matchAll(/^> NOERROR \S+ \S+ ([\d.]+)$/gm)].map(([, seconds]) => Number(seconds) * 1000);
    return times.toSorted((one, other) => one - other)[Math.floor(times.length * 0.99)] ?? Number.NaN;
  });
  return [
    { claim: "DNS answers a second, of a container's name", unit: "1/s", bound: "", more: true, values: rate },
    { claim: "DNS, 99 of 100 answers within", unit: "ms", bound: "", values: slowest },
  ];
}

export const networkBench: Bench = {
  name: "network",
  apart: true,
  async run(engines, setting) {
    const ready = await able(engines, async (engine) => {
      await run(engine, "network", "create", NETWORK);
      await run(engine, "run", "-d", "--name", "bench-net", TINY, "sleep", "3600");
      const there = ["run", "-d", "--network", NETWORK];
      await run(engine, ...there, "--name", SERVER, "-p", `${PORT}`, TINY, "sleep", "3600");
      await run(engine, ...there, "--name", CLIENT, TINY, "sleep", "3600");
    });
    try {
      return [
        ...(await added(ready)),
        ...(await connecting(ready)),
        ...(await throughput(ready)),
        ...(await names(ready, setting)),
      ];
    } finally {
      await able(ready, async (engine) => {
        await run(engine, "rm", "-f", "bench-net", SERVER, CLIENT);
        await run(engine, "network", "rm", NETWORK);
      });
    }
  },
};
