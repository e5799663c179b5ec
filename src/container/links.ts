/**
 * `--link`: another name for a container, for this one only. In networks of users' own the name service knows it; on the default bridge it is lines
 * in /etc/hosts and variables, as they were before there were such networks. Pure. Source: Docker's documentation, "Legacy container links".
 */

import { invalid } from "../base/errors.ts";
import { type Port, PROTOCOLS, parsePortRange, samePort } from "../network/ports.ts";

export interface Link {
  /** Name or id of the other container. */
  readonly target: string;
  /** By which this one knows it. */
  readonly alias: string;
}

/** `name:alias`, or a name that is its own alias; inspect's spelling `/name:/parent/alias` is taken, too. @throws invalid */
export function parseLink(text: string): Link {
  const [name = "", given = name, ...more] = text.split(":");
  const [target, alias] = [name.replace(/^\//, ""), given.slice(given.lastIndexOf("/") + 1)];
  if (target === "" || alias === "" || more.length > 0) throw invalid(`bad format for links: ${text}`);
  return { target, alias };
}

/** A container that another knows by `alias`. */
export interface Linked {
  /** Without a slash. So is the parent's. */
  readonly name: string;
  readonly parent: string;
  readonly alias: string;
  readonly hostname: string;
  /** On the default bridge, IPv4 first. */
  readonly addresses: readonly string[];
  readonly env: readonly string[];
  readonly exposedPorts: readonly string[];
}

/** A line of /etc/hosts. */
export interface HostLine {
  readonly address: string;
  readonly names: readonly string[];
}

export const linkedLines = ({ addresses, alias, hostname, name }: Linked): readonly HostLine[] =>
  addresses.map((address) => ({ address, names: [...new Set([alias, hostname, name])] }));

const inUrl = (address: string): string => (address.includes(":") ? `[${address}]` : address);

/** Ports that follow each other, in one protocol. */
function runsOf(ports: readonly Port[]): readonly (readonly Port[])[] {
  const runs: Port[][] = [];
  for (const port of ports) {
    const run = runs.at(-1);
    if (run && samePort({ ...port, number: port.number - 1 }, run.at(-1) ?? port)) run.push(port);
    else runs.push([port]);
  }
  return runs;
}

/** What another container's variables say of this one's ports: `DB_PORT_5432_TCP=tcp://172.17.0.2:5432` and so on. */
function portVariables(prefix: string, address: string, ports: readonly Port[]): readonly string[] {
  const url = ({ protocol, number }: Port) => `${protocol}://${inUrl(address)}:${number}`;
  const ofPort = (port: Port) => `${prefix}_PORT_${port.number}_${port.protocol.toUpperCase()}`;
  const ofRun = (run: readonly Port[]): readonly string[] => {
    const [first, last] = [run[0], run.at(-1)];
    if (!first || !last || run.length === 1) return [];
    const name = ofPort(first);
    return [
      ...[`${name}_START=${url(first)}`, `${name}_PORT_START=${first.number}`],
      ...[`${name}_END=${url(last)}`, `${name}_PORT_END=${last.number}`],
    ];
  };
  return [
    ...ports.slice(0, 1).map((port) => `${prefix}_PORT=${url(port)}`),
    ...runsOf(ports).flatMap(ofRun),
    ...ports.flatMap((port) => [
      `${ofPort(port)}=${url(port)}`,
      `${ofPort(port)}_ADDR=${address}`,
      `${ofPort(port)}_PORT=${port.number}`,
      `${ofPort(port)}_PROTO=${port.protocol}`,
    ]),
  ];
}

/** TCP before the others, low numbers before high ones. */
const byProtocol = (one: Port, other: Port): number =>
  PROTOCOLS.indexOf(one.protocol) - PROTOCOLS.indexOf(other.protocol) || one.number - other.number;

/** What a container's own environment says that another's has no use for. */
const OWN = /^(HOME|PATH)(=|$)/;

/** The variables by which a container knows another. */
export function linkVariables({ alias, parent, addresses, env, exposedPorts }: Linked): readonly string[] {
  const prefix = alias.toUpperCase().replaceAll("-", "_");
  const ports = exposedPorts.flatMap(parsePortRange).toSorted(byProtocol);
  const [address] = addresses;
  return [
    ...(address === undefined ? [] : portVariables(prefix, address, ports)),
    `${prefix}_NAME=/${parent}/${alias}`,
    ...env.filter((entry) => !OWN.test(entry)).map((entry) => `${prefix}_ENV_${entry}`),
  ];
}
