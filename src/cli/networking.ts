/** A container's networks as flags of run and create. */

import { type Flags, type Specs, UsageError } from "./flags.ts";
import { fieldsOf } from "./mount-flag.ts";
import { portBindings } from "./publish.ts";

export const NETWORK_FLAGS: Specs = {
  "add-host": { kind: "list", help: "Add a host-to-IP mapping (host:ip)" },
  dns: { kind: "list", help: "Set custom DNS servers" },
  "dns-option": { kind: "list", help: "Set DNS options" },
  "dns-search": { kind: "list", help: "Set custom DNS search domains" },
  expose: { kind: "list", help: "Expose a port or a range of ports" },
  ip: { kind: "text", help: "IPv4 address (e.g., 172.30.100.104)" },
  ip6: { kind: "text", help: "IPv6 address (e.g., 2001:db8::33)" },
  link: { kind: "list", help: "Add link to another container" },
  "link-local-ip": { kind: "list", help: "Container IPv4/IPv6 link-local addresses" },
  "mac-address": { kind: "text", help: "Container MAC address (e.g., 92:d0:c6:0a:29:33)" },
  network: { kind: "list", help: "Connect a container to a network" },
  net: { kind: "list", help: "The same as --network" },
  "network-alias": { kind: "list", help: "Add network-scoped alias for the container" },
  publish: { kind: "list", short: "p", help: "Publish a container's port(s) to the host" },
  "publish-all": { kind: "bool", short: "P", help: "Publish all exposed ports to random ports" },
};

interface Wanted {
  readonly name: string;
  readonly aliases: readonly string[];
  readonly options: Readonly<Record<string, string>>;
  readonly links?: readonly string[];
  readonly linkLocal?: readonly string[];
  readonly ip?: string | undefined;
  readonly ip6?: string | undefined;
  readonly mac?: string | undefined;
  readonly priority?: number;
}

/** `mine` or `name=mine,alias=a,ip=10.0.0.2,gw-priority=1`. @throws UsageError */
function parseNetwork(text: string): Wanted {
  if (!/^[a-z0-9-]+=/.test(text)) return { name: text, aliases: [], options: {} };
  const fields = fieldsOf(text).map((field): [string, string] => {
    const at = field.indexOf("=");
    return at < 0 ? [field, ""] : [field.slice(0, at), field.slice(at + 1)];
  });
  const all = (key: string) => fields.filter(([name]) => name === key).map(([, value]) => value);
  const known = ["name", "alias", "ip", "ip6", "mac-address", "link-local-ip", "driver-opt", "gw-priority"];
  const unknown = fields.find(([name]) => !known.includes(name));
  if (unknown) throw new UsageError(`invalid argument "${text}" for "--network" flag: invalid field key ${unknown[0]}`);
  const name = all("name").at(-1);
  if (!name) throw new UsageError(`invalid argument "${text}" for "--network" flag: a name is missing`);
  const options = all("driver-opt").map((option) => {
    const [key = "", ...value] = option.split("=");
    return [key, value.join("=")];
  });
  return {
    ...{ name, aliases: all("alias"), options: Object.fromEntries(options), linkLocal: all("link-local-ip") },
    ...{ ip: all("ip").at(-1), ip6: all("ip6").at(-1), mac: all("mac-address").at(-1) },
    priority: Number(all("gw-priority").at(-1) ?? 0),
  };
}

const endpointOf = ({ aliases, options, links, linkLocal, ip, ip6, mac, priority }: Wanted) => ({
  Aliases: aliases,
  DriverOpts: options,
  Links: links ?? [],
  ...((ip || ip6 || linkLocal?.length) && {
    IPAMConfig: { IPv4Address: ip ?? "", IPv6Address: ip6 ?? "", LinkLocalIPs: linkLocal ?? [] },
  }),
  MacAddress: mac ?? "",
  GwPriority: priority ?? 0,
});

/** What the flags beside --network say holds for the first network. */
function wantedOf(flags: Flags): readonly Wanted[] {
  const [first = { name: "default", aliases: [], options: {} }, ...rest] = [
    ...flags.list("network"),
    ...flags.list("net"),
  ].map(parseNetwork);
  const isOwn = !["default", "bridge", "host", "none"].includes(first.name) && !first.name.startsWith("container:");
  return [
    {
      ...first,
      aliases: [...first.aliases, ...flags.list("network-alias")],
      links: isOwn ? flags.list("link") : [],
      linkLocal: [...(first.linkLocal ?? []), ...flags.list("link-local-ip")],
      ip: first.ip ?? flags.text("ip"),
      ip6: first.ip6 ?? flags.text("ip6"),
      mac: first.mac ?? flags.text("mac-address"),
    },
    ...rest,
  ];
}

/** The parts of the body of POST /containers/create that are about networks. @throws UsageError */
export function networkingOf(flags: Flags): { readonly body: object; readonly host: object } {
  const wanted = wantedOf(flags);
  const [first] = wanted;
  const bindings = portBindings(flags.list("publish"));
  const exposed = [
    ...flags.list("expose").map((port) => (port.includes("/") ? port : `${port}/tcp`)),
    ...Object.keys(bindings),
  ];
  const isDefault = first === undefined || ["default", "bridge"].includes(first.name);
  return {
    body: {
      ExposedPorts: Object.fromEntries(exposed.map((port) => [port, {}])),
      NetworkingConfig: {
        EndpointsConfig: Object.fromEntries(
          wanted.filter(({ name }) => !name.startsWith("container:")).map((one) => [one.name, endpointOf(one)]),
        ),
      },
    },
    host: {
      Dns: flags.list("dns"),
      DnsOptions: flags.list("dns-option"),
      DnsSearch: flags.list("dns-search"),
      ExtraHosts: flags.list("add-host").map((entry) => entry.replace("=", ":")),
      Links: isDefault ? flags.list("link") : [],
      NetworkMode: first?.name ?? "default",
      PortBindings: bindings,
      PublishAllPorts: flags.on("publish-all"),
    },
  };
}
