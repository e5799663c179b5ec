/** Who listens in a network namespace, and where its packets leave: what the kernel's tables of it say. Pure. Source: proc_net_tcp(5), proc_pid_net(5). */

import { type Address, addressFrom } from "./addresses.ts";

export interface Listener {
  readonly protocol: "tcp" | "udp";
  readonly address: Address;
  readonly port: number;
}

/** Words of 32 bits in the host's order, each as hexadecimal. */
function parseHex(hex: string): Address {
  const words = hex.match(/.{8}/g) ?? [];
  return addressFrom(Buffer.concat(words.map((word) => Buffer.from(word, "hex").reverse())));
}

/** `TCP_LISTEN`; a UDP socket without a peer is in the state of a closed one. */
const WAITING = { tcp: "0A", udp: "07" } as const;

/** @param table  /proc/<pid>/net/{tcp,tcp6,udp,udp6} */
export function parseListeners(table: string, protocol: Listener["protocol"]): readonly Listener[] {
  return table.split("\n").flatMap((line) => {
    const [, local = "", , state] = line.trim().split(/\s+/);
    const [, address = "", port = ""] = /^([0-9A-F]+):([0-9A-F]{4})$/.exec(local) ?? [];
    if (state !== WAITING[protocol] || port === "") return [];
    return [{ protocol, address: parseHex(address), port: Number.parseInt(port, 16) }];
  });
}

const LOOPBACK6 = 1n;
const isLoopback = ({ family, value }: Address): boolean =>
  family === 4 ? value >> 24n === 127n : value === LOOPBACK6;

/** Whether somebody outside of the namespace may reach it. */
export const isOpen = ({ address }: Listener): boolean => !isLoopback(address);

/** Whether there is a default route. @param table  /proc/<pid>/net/route */
export const hasDefaultRoute = (table: string): boolean =>
  table.split("\n").some((line) => /^\S+\s+00000000\s+\S+(\s+\S+){4}\s+00000000\s/.test(line));
