/** A container's networks as clients see them. Source: Docker Engine API 1.50, NetworkSettings and EndpointSettings. */

import { dnsNames } from "../container/naming.ts";
import type { Container } from "../container/records.ts";
import { isLive } from "../container/state.ts";
import type { Attachment } from "../network/attachment.ts";
import type { Endpoint } from "../network/driver.ts";
import { portsView } from "./ports.ts";

/** @returns undefined for a network that is not there */
export type FindNetwork = (reference: string) => { readonly id: string; readonly name: string } | undefined;

const orNull = <T>(items: readonly T[]): readonly T[] | null => (items.length > 0 ? items : null);

function ipamConfig({ address, address6, linkLocal }: Attachment) {
  if (address === "" && address6 === "" && linkLocal.length === 0) return null;
  return {
    ...(address !== "" && { IPv4Address: address }),
    ...(address6 !== "" && { IPv6Address: address6 }),
    ...(linkLocal.length > 0 && { LinkLocalIPs: linkLocal }),
  };
}

function endpointView(container: Container, attachment: Attachment, endpoint: Endpoint | undefined, networkId: string) {
  const isOwn = !["bridge", "host", "none"].includes(attachment.network);
  return {
    IPAMConfig: ipamConfig(attachment),
    Links: orNull(attachment.links),
    Aliases: orNull(attachment.aliases),
    MacAddress: endpoint?.macAddress ?? attachment.macAddress,
    DriverOpts: Object.keys(attachment.driverOptions).length > 0 ? attachment.driverOptions : null,
    GwPriority: attachment.gatewayPriority,
    NetworkID: networkId,
    EndpointID: endpoint?.id ?? "",
    Gateway: endpoint?.gateway ?? "",
    IPAddress: endpoint?.address ?? "",
    IPPrefixLen: endpoint?.prefix ?? 0,
    IPv6Gateway: endpoint?.gateway6 ?? "",
    GlobalIPv6Address: endpoint?.address6 ?? "",
    GlobalIPv6PrefixLen: endpoint?.prefix6 ?? 0,
    DNSNames: isOwn ? dnsNames(container, attachment) : null,
  };
}

/** By name of the network. */
export function networksView(container: Container, find: FindNetwork) {
  return Object.fromEntries(
    container.networks.map((attachment) => {
      const network = find(attachment.network);
      const endpoint = container.endpoints.find(({ networkId }) => networkId === network?.id);
      const view = endpointView(container, attachment, endpoint, network?.id ?? "");
      return [network?.name ?? attachment.network, view];
    }),
  );
}

/** A list leaves out by which names a container is known. */
export const withoutNames = (networks: ReturnType<typeof networksView>) =>
  Object.fromEntries(
    Object.entries(networks).map(([name, view]) => [name, { ...view, Aliases: null, DNSNames: null }]),
  );

/** The fields of the time when a container had one network: they are the default bridge's. */
function legacyView(endpoint: Endpoint | undefined) {
  return {
    EndpointID: endpoint?.id ?? "",
    Gateway: endpoint?.gateway ?? "",
    GlobalIPv6Address: endpoint?.address6 ?? "",
    GlobalIPv6PrefixLen: endpoint?.prefix6 ?? 0,
    IPAddress: endpoint?.address ?? "",
    IPPrefixLen: endpoint?.prefix ?? 0,
    IPv6Gateway: endpoint?.gateway6 ?? "",
    MacAddress: endpoint?.macAddress ?? "",
  };
}

export function networkSettings(container: Container, find: FindNetwork) {
  const { endpoints, state } = container;
  const bridge = find("bridge")?.id;
  return {
    Bridge: "",
    SandboxID: endpoints[0]?.id ?? "",
    SandboxKey: isLive(state) ? `/proc/${state.pid}/ns/net` : "",
    Ports: portsView(container),
    HairpinMode: false,
    LinkLocalIPv6Address: "",
    LinkLocalIPv6PrefixLen: 0,
    SecondaryIPAddresses: null,
    SecondaryIPv6Addresses: null,
    ...legacyView(endpoints.find(({ networkId }) => networkId === bridge)),
    Networks: networksView(container, find),
  };
}

/** Whether a container is in a network, by its name or the beginning of its id. */
export const isIn = ({ networks }: Container, value: string, find: FindNetwork): boolean =>
  networks.some(({ network }) => network === value || (find(network)?.id.startsWith(value) ?? false));
