/**
 * A process that holds a container's published ports on the host, and relays what the firewall's rules do not forward. It ends with the
 * container's first process, whatever becomes of the daemon. Its side: shim/net-ports.c.
 */

import { internal } from "../base/errors.ts";
import { isRunning, processStart, signalProcess } from "../base/processes.ts";

/** Ports that belong together: the same number on each address. */
export interface HeldGroup {
  readonly protocol: "tcp" | "udp";
  readonly addresses: readonly string[];
  readonly low: number;
  readonly high: number;
  readonly target: string;
  readonly targetPort: number;
}

/** A keeper as it is on record. */
export interface KeeperIdentity {
  readonly pid: number;
  /** Clock ticks after the boot: tells it from another process that has its pid later. */
  readonly start: string;
}

/** Somebody has a port already. */
export class PortTaken extends Error {
  constructor(
    readonly group: HeldGroup,
    readonly address: string,
    readonly port: number,
    readonly errno: number,
  ) {
    super(`bind ${address}:${port}`);
  }
}

/** What can be done to one, whoever has started it. */
export interface HeldPorts {
  /** Returns when the ports are free, and connections through it are cut. Idempotent. */
  end(): Promise<void>;
  /** Returns when the ports are free; connections through it last. Idempotent. */
  retire(): Promise<void>;
}

export interface Keeper extends KeeperIdentity, HeldPorts {
  /** Of each group. */
  readonly ports: readonly number[];
  /** From now on it lives as long as this process. */
  follow(pid: number): void;
}

const words = ({ protocol, addresses, low, high, target, targetPort }: HeldGroup): readonly string[] => [
  ...[protocol, addresses.join(","), `${low}-${high}`, target, String(targetPort)],
];

function refusal(groups: readonly HeldGroup[], line: string): Error {
  const [, at = "", errno = "", address = "", port = ""] = /^fail (\d+) (\d+) (\S*) (\d+)$/.exec(line) ?? [];
  const group = groups[Number(at)];
  if (!group || errno === "") return internal(`Cannot hold ports: ${line || "their keeper ended"}`);
  return new PortTaken(group, address, Number(port), Number(errno));
}

/** @param program  bosun-net. @throws PortTaken; nothing is held then */
export async function keepPorts(program: string, groups: readonly HeldGroup[]): Promise<Keeper> {
  const child = Bun.spawn([program, "ports", ...groups.flatMap(words)], {
    stdin: "pipe",
    stdout: "pipe",
    stderr: "ignore",
  });
  let text = "";
  const decoder = new TextDecoder();
  for await (const bytes of child.stdout) {
    text += decoder.decode(bytes, { stream: true });
    if (text.endsWith("ready\n")) break;
  }
  const lines = text.trimEnd().split("\n");
  if (lines.at(-1) !== "ready") {
    await child.exited;
    throw refusal(groups, lines.at(-1) ?? "");
  }
  child.unref();
  return {
    pid: child.pid,
    start: processStart(child.pid) ?? "",
    ports: lines.slice(0, -1).map((line) => Number(line.split(" ")[1])),
    follow(pid) {
      child.stdin.write(`${pid}\n`);
      child.stdin.end();
    },
    async end() {
      child.kill("SIGKILL");
      await child.exited;
    },
    async retire() {
      child.kill("SIGTERM");
      await child.exited;
    },
  };
}

/** Whether one that is on record lives still. */
export const isAlive = ({ pid, start }: KeeperIdentity): boolean => isRunning(pid, start);

/** A process that was killed is gone within milliseconds; longer than this it is stuck in the kernel. */
const GONE_MS = 2000;

/** An earlier daemon's. @returns undefined when it lives no more */
export function adoptKeeper(identity: KeeperIdentity): HeldPorts | undefined {
  if (!isAlive(identity)) return undefined;
  const endWith = async (signal: number): Promise<void> => {
    signalProcess(identity.pid, signal, () => isAlive(identity));
    const limit = Date.now() + GONE_MS;
    while (isAlive(identity) && Date.now() < limit) await Bun.sleep(1); // not our child: nothing tells of its end
  };
  return { end: () => endWith(9), retire: () => endWith(15) };
}
