/** Published ports on the wire: requests, inspect, lists. Source: Docker Engine API 1.50, PortMap and Port. */

import { invalid } from "../base/errors.ts";
import type { Container } from "../container/records.ts";
import { isLive } from "../container/state.ts";
import { formatPort, type PortBinding, parsePort, parsePortRange, toBinding } from "../network/ports.ts";
import type { Document } from "./document.ts";

/** @param map  `{"80/tcp": [{"HostIp": "", "HostPort": "8080"}]}`; an empty list is one port of the host's choice. @throws invalid */
export function toBindings(map: Document): readonly PortBinding[] {
  return map.names.flatMap((name) => {
    const port = parsePort(name);
    const asked = map.documents(name);
    if (asked.length === 0) return [toBinding(port, "", "")];
    return asked.map((one) =>
      toBinding(port, one.text("HostIp"), one.text("HostPort") === "0" ? "" : one.text("HostPort")),
    );
  });
}

/** `80/tcp`, each of a range. @throws invalid */
export function toExposed(ports: Document): readonly string[] {
  try {
    return ports.names.flatMap((name) => parsePortRange(name).map(formatPort));
  } catch (error) {
    throw invalid(`invalid exposed port: ${error instanceof Error ? error.message : error}`);
  }
}

/** HostConfig.PortBindings, as it was asked for. */
export function bindingsView(bindings: readonly PortBinding[]) {
  const map: Record<string, { HostIp: string; HostPort: string }[]> = {};
  for (const { port, hostAddress, low, high } of bindings) {
    const text = low === 0 ? "" : low === high ? String(low) : `${low}-${high}`;
    const entries = map[formatPort(port)] ?? [];
    map[formatPort(port)] = [...entries, { HostIp: hostAddress, HostPort: text }];
  }
  return map;
}

/** NetworkSettings.Ports: what is exposed, and where it is on the host. Empty when the container does not run. */
export function portsView({ state, host, config, publication }: Container) {
  if (!isLive(state) || host.namespaces.network !== "own") return {};
  const map: Record<string, { HostIp: string; HostPort: string }[] | null> = {};
  for (const name of config.exposedPorts) map[name] = null;
  for (const { port, hostAddress, hostPort } of publication?.ports ?? []) {
    const entries = map[formatPort(port)] ?? [];
    map[formatPort(port)] = [...entries, { HostIp: hostAddress, HostPort: String(hostPort) }];
  }
  return map;
}

/** The ports of a list's entry. */
export function portList(container: Container) {
  return Object.entries(portsView(container)).flatMap(([name, bindings]) => {
    const { number, protocol } = parsePort(name);
    if (!bindings) return [{ PrivatePort: number, Type: protocol }];
    return bindings.map(({ HostIp, HostPort }) => ({
      ...{ IP: HostIp, PrivatePort: number, PublicPort: Number(HostPort), Type: protocol },
    }));
  });
}

/** Whether a filter's port (`80`, `80/udp`, `8000-8010`) is one of these. */
const matchesPort = (value: string, names: readonly string[]): boolean =>
  parsePortRange(value).some((port) => names.includes(formatPort(port)));

export const exposes = ({ config, host }: Container, value: string): boolean =>
  matchesPort(value, [...config.exposedPorts, ...host.portBindings.map(({ port }) => formatPort(port))]);

/** By the port of the host. */
export const publishes = ({ publication }: Container, value: string): boolean =>
  matchesPort(
    value,
    (publication?.ports ?? []).map(({ port, hostPort }) => `${hostPort}/${port.protocol}`),
  );
