/** What a request says of a container's networks. Source: Docker Engine API 1.50, NetworkingConfig and EndpointSettings. */

import { invalid } from "../base/errors.ts";
import type { Namespaces } from "../container/config.ts";
import { parseLink } from "../container/links.ts";
import { asAddress, parseMac } from "../network/addresses.ts";
import { type Attachment, plainAttachment } from "../network/attachment.ts";
import { type Document, isBlank } from "./document.ts";

function addressOf(document: Document, name: string, family: 4 | 6): string {
  const text = document.text(name);
  if (text !== "" && asAddress(text)?.family !== family)
    throw invalid(`invalid endpoint settings:\ninvalid IPv${family} address: ${text}`);
  return text;
}

/** As it is written. @throws invalid */
function checkLink(text: string): string {
  parseLink(text);
  return text;
}

/** @param settings  EndpointSettings; what an inspect has put into them (addresses in use) is not a wish */
export function toAttachment(network: string, settings: Document): Attachment {
  const ipam = settings.document("IPAMConfig");
  const macAddress = settings.text("MacAddress");
  if (macAddress !== "") parseMac(macAddress);
  const linkLocal = ipam.words("LinkLocalIPs") ?? [];
  const wrong = linkLocal.find((text) => asAddress(text) === undefined);
  if (wrong !== undefined) throw invalid(`invalid endpoint settings:\ninvalid link-local IP address: ${wrong}`);
  return {
    network,
    address: addressOf(ipam, "IPv4Address", 4),
    address6: addressOf(ipam, "IPv6Address", 6),
    linkLocal,
    macAddress,
    aliases: settings.words("Aliases") ?? [],
    links: (settings.words("Links") ?? []).map(checkLink),
    driverOptions: settings.texts("DriverOpts"),
    gatewayPriority: settings.number("GwPriority"),
  };
}

/** What makes no sense with the network of the host or of another container, in Docker's words. @param body  the whole request */
export function checkNetworkMode(body: Document, namespace: Namespaces["network"]): void {
  const host = body.document("HostConfig");
  const has = (document: Document, name: string) => !isBlank(document.get(name));
  if (namespace === "host" && has(host, "Links"))
    throw invalid(
      "conflicting options: host type networking can't be used with links. This would result in undefined behavior",
    );
  if (!namespace.startsWith("container:")) return;
  const conflicts: readonly [Document, string, string][] = [
    [body, "Hostname", "hostname and the network mode"],
    [host, "Links", "container type network can't be used with links. This would result in undefined behavior"],
    [host, "Dns", "dns and the network mode"],
    [host, "ExtraHosts", "custom host-to-IP mapping and the network mode"],
    [body, "MacAddress", "mac-address and the network mode"],
    [host, "PortBindings", "port publishing and the container type network mode"],
    [host, "PublishAllPorts", "port publishing and the container type network mode"],
    [body, "ExposedPorts", "port exposing and the container type network mode"],
  ];
  const found = conflicts.find(([document, name]) => has(document, name));
  if (found) throw invalid(`conflicting options: ${found[2]}`);
}

/** The network mode's first, then the others that the request names. @param fallback  what `default` means */
export function toAttachments(
  networkMode: string,
  namespace: Namespaces["network"],
  endpoints: Document,
  macAddress: string,
  links: readonly string[],
  fallback: string,
): readonly Attachment[] {
  if (namespace.startsWith("container:")) {
    if (endpoints.names.length > 0)
      throw invalid("conflicting options: a container that uses another's network has none of its own");
    return [];
  }
  const named = new Map(
    endpoints.names.map((name) => {
      const network = name === "default" ? fallback : name;
      return [network, toAttachment(network, endpoints.document(name))];
    }),
  );
  if (named.size > 0 && !named.has(networkMode) && namespace === "host")
    throw invalid("container cannot be connected to host network and to others");
  const first = named.get(networkMode) ?? plainAttachment(networkMode);
  const linked = named.has(networkMode) || networkMode === "bridge" ? first : { ...first, links: links.map(checkLink) };
  const own = macAddress !== "" && linked.macAddress === "" ? { ...linked, macAddress } : linked;
  if (macAddress !== "" && own.macAddress !== macAddress)
    throw invalid(
      "the container-wide MAC address must match the endpoint-specific MAC address for the main network, or be left empty",
    );
  return [own, ...[...named.values()].filter(({ network }) => network !== networkMode)];
}
