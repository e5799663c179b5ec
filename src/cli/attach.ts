/** Coupling our stdio with a container's: what `run`, `start` and `attach` have in common, and the latter two. */

import type net from "node:net";
import type { Client } from "./client.ts";
import { type Command, forEach } from "./command.ts";
import { path } from "./containers.ts";
import { type Flags, UsageError } from "./flags.ts";
import { followSize, printOutput, rawTerminal, sendInput } from "./streams.ts";

export interface Streams {
  readonly stdin: boolean;
  readonly stdout: boolean;
  readonly stderr: boolean;
}

export interface Attachment {
  readonly id: string;
  readonly streams: Streams;
  readonly tty: boolean;
  readonly detachKeys: string | undefined;
  /** Whether signals to us are meant for the program; never with a terminal, which sends them itself. */
  readonly forwardsSignals: boolean;
  /** What tells its exit code. */
  readonly condition: "not-running" | "next-exit" | "removed";
  /** Done once we listen. */
  readonly start?: () => Promise<unknown>;
}

interface Waited {
  readonly StatusCode: number;
  readonly Error?: { readonly Message: string };
}

const FORWARDED: readonly NodeJS.Signals[] = ["SIGINT", "SIGTERM", "SIGQUIT", "SIGUSR1", "SIGUSR2"];

function forwardSignals(client: Client, id: string): Disposable {
  const forward = (signal: NodeJS.Signals) =>
    void client.request("POST", `${path(id)}/kill`, { query: { signal } }).catch(() => {}); // it may have ended
  for (const signal of FORWARDED) process.on(signal, forward);
  return {
    [Symbol.dispose]() {
      for (const signal of FORWARDED) process.off(signal, forward);
    },
  };
}

/** The order in which docker does it: attach and wait come before start, so that nothing is missed. @returns the exit code */
export async function attach(client: Client, attachment: Attachment): Promise<number> {
  const { id, streams, tty, detachKeys, forwardsSignals, condition, start } = attachment;
  const on = (flag: boolean) => (flag ? "1" : "0");
  const { stdin, stdout, stderr } = streams;
  const query = { stream: "1", stdin: on(stdin), stdout: on(stdout), stderr: on(stderr), detachKeys };
  const stream: net.Socket = await client.hijack(`${path(id)}/attach`, { query });
  const waiting = await client.request("POST", `${path(id)}/wait`, { query: { condition } });
  using stack = new DisposableStack();
  const output = printOutput(stream, tty);
  if (tty && stdin) stack.use(rawTerminal());
  if (stdin) stack.use(sendInput(stream));
  if (!tty && forwardsSignals) stack.use(forwardSignals(client, id));
  await start?.();
  if (tty)
    stack.use(
      followSize((rows, columns) =>
        client.request("POST", `${path(id)}/resize`, { query: { h: `${rows}`, w: `${columns}` } }),
      ),
    );
  await output;
  stack.dispose();
  stream.destroy();
  return exitOf(client, id, waiting);
}

/** After a detach the container runs on, and we leave with 0. */
async function exitOf(client: Client, id: string, waiting: Response): Promise<number> {
  const running = await client
    .get<{ readonly State: { readonly Running: boolean } }>(`${path(id)}/json`)
    .then(({ State }) => State.Running)
    .catch(() => false);
  if (running) {
    const soon = await Promise.race([waiting.clone().json() as Promise<Waited>, Bun.sleep(300).then(() => undefined)]);
    if (!soon) return 0;
  }
  const { StatusCode, Error: failure } = (await waiting.json()) as Waited;
  if (failure) process.stderr.write(`${failure.Message}\n`);
  return StatusCode;
}

interface Inspected {
  readonly Id: string;
  readonly State: { readonly Running: boolean; readonly Paused: boolean; readonly Restarting: boolean };
  readonly Config: { readonly Tty: boolean; readonly OpenStdin: boolean };
  readonly HostConfig: { readonly AutoRemove: boolean };
}

const inspect = (client: Client, name: string): Promise<Inspected> => client.get<Inspected>(`${path(name)}/json`);

/** @throws Error in docker's words */
function checkAttachable({ State }: Inspected): void {
  if (!State.Running) throw new Error("cannot attach to a stopped container, start it first");
  if (State.Paused) throw new Error("cannot attach to a paused container, unpause it first");
  if (State.Restarting) throw new Error("cannot attach to a restarting container, wait until it is running");
}

export const attachCommand: Command = {
  usage: "attach [OPTIONS] CONTAINER",
  summary: "Attach local standard input, output, and error streams to a running container",
  flags: {
    "detach-keys": { kind: "text", help: "Override the key sequence for detaching a container" },
    "no-stdin": { kind: "bool", help: "Do not attach STDIN" },
    "sig-proxy": { kind: "bool", help: "Proxy all received signals to the process (default true)" },
  },
  args: [1, 1],
  async run(client, flags) {
    const container = await inspect(client, flags.args[0] ?? "");
    checkAttachable(container);
    const { Tty: tty, OpenStdin: stdin } = container.Config;
    return attach(client, {
      id: container.Id,
      streams: { stdin: stdin && !flags.on("no-stdin"), stdout: true, stderr: true },
      tty,
      detachKeys: flags.text("detach-keys"),
      forwardsSignals: flags.on("sig-proxy", true),
      condition: "not-running",
    });
  },
};

async function startAttached(client: Client, flags: Flags): Promise<number> {
  const [name = "", second] = flags.args;
  if (second !== undefined) throw new UsageError("you cannot start and attach multiple containers at once");
  const { Id: id, Config, HostConfig } = await inspect(client, name);
  return attach(client, {
    id,
    streams: { stdin: flags.on("interactive") && Config.OpenStdin, stdout: true, stderr: true },
    tty: Config.Tty,
    detachKeys: flags.text("detach-keys"),
    forwardsSignals: true,
    condition: HostConfig.AutoRemove ? "removed" : "next-exit",
    start: () => client.request("POST", `${path(id)}/start`),
  });
}

export const startCommand: Command = {
  usage: "start [OPTIONS] CONTAINER [CONTAINER...]",
  summary: "Start one or more stopped containers",
  flags: {
    attach: { kind: "bool", short: "a", help: "Attach STDOUT/STDERR and forward signals" },
    "detach-keys": { kind: "text", help: "Override the key sequence for detaching a container" },
    interactive: { kind: "bool", short: "i", help: "Attach container's STDIN" },
  },
  args: [1, Number.POSITIVE_INFINITY],
  async run(client, flags) {
    if (flags.on("attach") || flags.on("interactive")) return startAttached(client, flags);
    return forEach(flags.args, async (name) => {
      await client.request("POST", `${path(name)}/start`);
      return name;
    });
  },
};
