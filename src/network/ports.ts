/** Published ports: what a request asks for, and what became of it. Pure. */

import { invalid } from "../base/errors.ts";
import { asAddress, isShared } from "./addresses.ts";

export const PROTOCOLS = ["tcp", "udp", "sctp"] as const;
export type Protocol = (typeof PROTOCOLS)[number];

/** A port of a container. */
export interface Port {
  readonly protocol: Protocol;
  readonly number: number;
}

/** A port of a container that is wanted on the host. */
export interface PortBinding {
  readonly port: Port;
  /** An address of the host; empty for the network's default. */
  readonly hostAddress: string;
  /** The first free one of these; 0 and 0 for any. */
  readonly low: number;
  readonly high: number;
}

/** A port of a container that is on the host. */
export interface PublishedPort {
  readonly port: Port;
  readonly hostAddress: string;
  readonly hostPort: number;
}

/** `80/tcp`, `80`. @throws invalid in Docker's words */
export function parsePort(text: string): Port {
  const [, digits = "", name = "tcp"] = /^(\d{1,5})(?:\/([a-z]+))?$/i.exec(text) ?? [];
  const protocol = PROTOCOLS.find((one) => one === name.toLowerCase());
  if (digits === "") throw invalid(`invalid port specification: ${JSON.stringify(text)}`);
  if (!protocol) throw invalid(`invalid port specification: invalid proto: ${name}`);
  if (Number(digits) < 1 || Number(digits) > 65_535)
    throw invalid(`invalid port specification: invalid containerPort: ${digits}`);
  return { protocol, number: Number(digits) };
}

export const formatPort = ({ number, protocol }: Port): string => `${number}/${protocol}`;

/** `80/tcp`, `8000-8010/udp` → each of them. @throws invalid */
export function parsePortRange(text: string): readonly Port[] {
  const [, first = "", last = first, rest = ""] = /^(\d{1,5})(?:-(\d{1,5}))?(\/[a-z]+)?$/i.exec(text) ?? [];
  if (first === "") throw invalid(`invalid port specification: ${JSON.stringify(text)}`);
  const [low, high] = [parsePort(`${first}${rest}`), parsePort(`${last}${rest}`)];
  if (high.number < low.number) throw invalid(`invalid port specification: ${JSON.stringify(text)}`);
  return Array.from({ length: high.number - low.number + 1 }, (_, at) => ({ ...low, number: low.number + at }));
}

/** @param hostPort  empty, a number or a range. @throws invalid in Docker's words */
export function toBinding(port: Port, hostAddress: string, hostPort: string): PortBinding {
  const host = asAddress(hostAddress);
  if (hostAddress !== "" && !host) throw invalid(`invalid IP address: ${hostAddress}`);
  if (host && isShared(host)) throw invalid(`invalid IP address: ${hostAddress}: it is not one host's`);
  if (hostPort === "") return { port, hostAddress, low: 0, high: 0 };
  const [, first = "", last = first] = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(hostPort) ?? [];
  const [low, high] = [Number(first), Number(last)];
  if (first === "" || high > 65_535 || high < low)
    throw invalid(`invalid port specification: ${JSON.stringify(hostPort)}`);
  return { port, hostAddress, low, high };
}

export const samePort = (one: Port, other: Port): boolean =>
  one.protocol === other.protocol && one.number === other.number;

/** Exposed ports that no binding names get any port of the host: `--publish-all`. */
export function withExposed(bindings: readonly PortBinding[], exposed: readonly string[]): readonly PortBinding[] {
  const ports = exposed.flatMap(parsePortRange).filter((port) => !bindings.some((one) => samePort(one.port, port)));
  return [...bindings, ...ports.map((port) => toBinding(port, "", ""))];
}
