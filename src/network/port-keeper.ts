/**
 * A process that holds a container's published ports on the host, and relays what the firewall's rules do not forward. It ends with the
 * container's first process, whatever becomes of the daemon. Its side: shim/net-ports.c.
 */

import { internal } from "../base/errors.ts";
import {
  adoptNetProgram,
  type NetProgram,
  type ProcessIdentity,
  ProgramRefused,
  startNetProgram,
} from "./net-program.ts";

/** Ports that belong together: the same number on each address. */
export interface HeldGroup {
  readonly protocol: "tcp" | "udp";
  readonly addresses: readonly string[];
  readonly low: number;
  readonly high: number;
  readonly target: string;
  readonly targetPort: number;
}

/** Somebody has a port already, or nobody may: its address is not the host's. */
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

export interface Keeper extends ProcessIdentity, HeldPorts {
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

const heldBy = (program: Pick<NetProgram, "end">): HeldPorts => ({
  end: () => program.end(9),
  retire: () => program.end(15),
});

export interface KeeperOptions {
  /** bosun-net. */
  readonly program: string;
  /** Whether whom no rule leads is served. */
  readonly relays: boolean;
  /** Whether an address may be one that the host does not have yet. */
  readonly early: boolean;
}

/** @throws PortTaken; nothing is held then */
export async function keepPorts(
  groups: readonly HeldGroup[],
  { program, relays, early }: KeeperOptions,
): Promise<Keeper> {
  const mode = [relays ? "ports" : "hold", ...(early ? ["early"] : [])];
  const started = await startNetProgram(program, [...mode, ...groups.flatMap(words)]).catch((error: unknown) => {
    throw error instanceof ProgramRefused ? refusal(groups, error.line) : error;
  });
  return {
    ...heldBy(started),
    pid: started.pid,
    start: started.start,
    ports: started.lines.map((line) => Number(line.split(" ")[1])),
    follow: (pid) => started.tell(String(pid)),
  };
}

/** An earlier daemon's. @returns undefined when it lives no more */
export function adoptKeeper(identity: ProcessIdentity): HeldPorts | undefined {
  const program = adoptNetProgram(identity);
  return program && heldBy(program);
}
