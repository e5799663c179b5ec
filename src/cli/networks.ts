/** `network …` and `port`. */

import type { Client } from "./client.ts";
import { type Command, forEach } from "./command.ts";
import { path as containerPath } from "./containers.ts";
import { filterQuery } from "./filters.ts";
import { type Flags, UsageError } from "./flags.ts";
import { formatted, type Layout, LIST_FORMAT, printLines, type Row } from "./format.ts";
import { INSPECT_FORMAT, inspectAll } from "./inspect.ts";
import { doctorCommand } from "./network-doctor.ts";
import { pairs } from "./pairs.ts";
import type { HostPort } from "./publish.ts";
import { isSure } from "./sure.ts";
import { shortId } from "./table.ts";

interface NetworkSummary {
  readonly Id: string;
  readonly Name: string;
  readonly Driver: string;
  readonly Scope: string;
  readonly EnableIPv4: boolean;
  readonly EnableIPv6: boolean;
  readonly Internal: boolean;
  readonly Created: string;
  readonly Labels: Readonly<Record<string, string>> | null;
}

const LAYOUT: Layout = {
  columns: ["ID", "Name", "Driver", "Scope"],
  headings: {
    ID: "NETWORK ID",
    Name: "NAME",
    Driver: "DRIVER",
    Scope: "SCOPE",
    IPv4: "IPV4",
    IPv6: "IPV6",
    Internal: "INTERNAL",
    Labels: "LABELS",
    CreatedAt: "CREATED AT",
  },
};

const rowOf = (network: NetworkSummary, isWhole: boolean): Row => ({
  ID: isWhole ? network.Id : shortId(network.Id),
  Name: network.Name,
  Driver: network.Driver,
  Scope: network.Scope,
  IPv4: String(network.EnableIPv4),
  IPv6: String(network.EnableIPv6),
  Internal: String(network.Internal),
  Labels: Object.entries(network.Labels ?? {})
    .map(([key, value]) => `${key}=${value}`)
    .join(","),
  CreatedAt: network.Created,
});

const path = (name: string): string => `/networks/${encodeURIComponent(name)}`;

/** The n-th range and gateway belong to the n-th subnet that they fit into: the engine tells what fits nowhere. */
function ipamConfig(flags: Flags): readonly object[] {
  const subnets = flags.list("subnet");
  const family = (text: string) => (text.includes(":") ? 6 : 4);
  const rest = { range: [...flags.list("ip-range")], gateway: [...flags.list("gateway")] };
  const take = (list: string[], subnet: string): string | undefined => {
    const at = list.findIndex((text) => family(text) === family(subnet));
    return at < 0 ? undefined : list.splice(at, 1)[0];
  };
  const auxiliary = Object.entries(pairs(flags.list("aux-address")));
  const config = subnets.map((subnet) => ({
    Subnet: subnet,
    IPRange: take(rest.range, subnet) ?? "",
    Gateway: take(rest.gateway, subnet) ?? "",
    AuxiliaryAddresses: Object.fromEntries(auxiliary.filter(([, address]) => family(address) === family(subnet))),
  }));
  const [left] = [...rest.range, ...rest.gateway];
  if (left !== undefined) throw new UsageError(`no matching subnet for ${left}`);
  return config;
}

const createCommand: Command = {
  usage: "network create [OPTIONS] NETWORK",
  summary: "Create a network",
  flags: {
    attachable: { kind: "bool", help: "Enable manual container attachment" },
    "aux-address": { kind: "list", help: "Auxiliary IPv4 or IPv6 addresses used by Network driver" },
    driver: { kind: "text", short: "d", help: 'Driver to manage the Network (default "bridge")' },
    gateway: { kind: "list", help: "IPv4 or IPv6 Gateway for the master subnet" },
    internal: { kind: "bool", help: "Restrict external access to the network" },
    "ip-range": { kind: "list", help: "Allocate container ip from a sub-range" },
    "ipam-driver": { kind: "text", help: "IP Address Management Driver" },
    "ipam-opt": { kind: "list", help: "Set IPAM driver specific options" },
    ipv4: { kind: "bool", help: "Enable or disable IPv4 address assignment" },
    ipv6: { kind: "bool", help: "Enable or disable IPv6 address assignment" },
    label: { kind: "list", help: "Set metadata on a network" },
    opt: { kind: "list", short: "o", help: "Set driver specific options" },
    subnet: { kind: "list", help: "Subnet in CIDR format that represents a network segment" },
  },
  args: [1, 1],
  async run(client, flags) {
    const { Id, Warning } = await client.post<{ readonly Id: string; readonly Warning: string }>("/networks/create", {
      json: {
        Name: flags.args[0],
        Driver: flags.text("driver") ?? "bridge",
        Attachable: flags.on("attachable"),
        Internal: flags.on("internal"),
        ...(flags.has("ipv4") && { EnableIPv4: flags.on("ipv4") }),
        ...(flags.has("ipv6") && { EnableIPv6: flags.on("ipv6") }),
        IPAM: {
          Driver: flags.text("ipam-driver") ?? "default",
          Options: pairs(flags.list("ipam-opt")),
          Config: ipamConfig(flags),
        },
        Labels: pairs(flags.list("label")),
        Options: pairs(flags.list("opt")),
      },
    });
    if (Warning) process.stderr.write(`WARNING: ${Warning}\n`);
    console.log(Id);
    return 0;
  },
};

const lsCommand: Command = {
  usage: "network ls [OPTIONS]",
  summary: "List networks",
  flags: {
    filter: { kind: "list", short: "f", help: 'Provide filter values (e.g. "driver=bridge")' },
    format: LIST_FORMAT,
    "no-trunc": { kind: "bool", help: "Do not truncate the output" },
    quiet: { kind: "bool", short: "q", help: "Only display network IDs" },
  },
  args: [0, 0],
  async run(client, flags) {
    const query = { filters: filterQuery(flags.list("filter")) };
    const networks = await client.get<readonly NetworkSummary[]>("/networks", query);
    const rows = networks
      .toSorted((one, other) => (one.Name < other.Name ? -1 : 1))
      .map((network) => rowOf(network, flags.on("no-trunc")));
    printLines(flags.on("quiet") ? rows.map(({ ID }) => ID).join("\n") : formatted(rows, flags.text("format"), LAYOUT));
    return 0;
  },
};

const inspectCommand: Command = {
  usage: "network inspect [OPTIONS] NETWORK [NETWORK...]",
  summary: "Display detailed information on one or more networks",
  flags: { format: INSPECT_FORMAT },
  args: [1, Number.POSITIVE_INFINITY],
  run: (client, flags) => inspectAll(flags.args, flags.text("format"), (name) => client.get(path(name))),
};

const rmCommand: Command = {
  usage: "network rm NETWORK [NETWORK...]",
  summary: "Remove one or more networks",
  flags: { force: { kind: "bool", short: "f", help: "Do not complain of networks that are missing" } },
  args: [1, Number.POSITIVE_INFINITY],
  run: (client, flags) =>
    forEach(flags.args, async (name) => {
      const isMissing = (error: unknown) =>
        flags.on("force") && error instanceof Error && /not found/.test(error.message);
      await client.request("DELETE", path(name)).catch((error) => {
        if (!isMissing(error)) throw error;
      });
      return name;
    }),
};

const connectCommand: Command = {
  usage: "network connect [OPTIONS] NETWORK CONTAINER",
  summary: "Connect a container to a network",
  flags: {
    alias: { kind: "list", help: "Add network-scoped alias for the container" },
    "driver-opt": { kind: "list", help: "driver options for the network" },
    "gw-priority": { kind: "text", help: "Highest gw-priority provides the default gateway" },
    ip: { kind: "text", help: "IPv4 address (e.g., 172.30.100.104)" },
    ip6: { kind: "text", help: "IPv6 address (e.g., 2001:db8::33)" },
    link: { kind: "list", help: "Add link to another container" },
    "link-local-ip": { kind: "list", help: "Add a link-local address for the container" },
  },
  args: [2, 2],
  async run(client, flags) {
    const [network = "", container = ""] = flags.args;
    await client.request("POST", `${path(network)}/connect`, {
      json: {
        Container: container,
        EndpointConfig: {
          Aliases: flags.list("alias"),
          DriverOpts: pairs(flags.list("driver-opt")),
          GwPriority: flags.number("gw-priority") ?? 0,
          IPAMConfig: {
            IPv4Address: flags.text("ip") ?? "",
            IPv6Address: flags.text("ip6") ?? "",
            LinkLocalIPs: flags.list("link-local-ip"),
          },
          Links: flags.list("link"),
        },
      },
    });
    return 0;
  },
};

const disconnectCommand: Command = {
  usage: "network disconnect [OPTIONS] NETWORK CONTAINER",
  summary: "Disconnect a container from a network",
  flags: { force: { kind: "bool", short: "f", help: "Force the container to disconnect from a network" } },
  args: [2, 2],
  async run(client, flags) {
    const [network = "", Container] = flags.args;
    await client.request("POST", `${path(network)}/disconnect`, { json: { Container, Force: flags.on("force") } });
    return 0;
  },
};

export async function pruneNetworks(client: Client, filters: readonly string[]): Promise<void> {
  const query = { filters: filterQuery(filters) };
  const { NetworksDeleted } = await client.post<{ readonly NetworksDeleted: readonly string[] | null }>(
    "/networks/prune",
    { query },
  );
  if (NetworksDeleted && NetworksDeleted.length > 0)
    printLines(["Deleted Networks:", ...NetworksDeleted, ""].join("\n"));
}

const pruneCommand: Command = {
  usage: "network prune [OPTIONS]",
  summary: "Remove all unused networks",
  flags: {
    filter: { kind: "list", help: 'Provide filter values (e.g. "until=<timestamp>")' },
    force: { kind: "bool", short: "f", help: "Do not prompt for confirmation" },
  },
  args: [0, 0],
  async run(client, flags) {
    if (await isSure(flags, "This will remove all custom networks not used by at least one container."))
      await pruneNetworks(client, flags.list("filter"));
    return 0;
  },
};

export const NETWORK_COMMANDS: Readonly<Record<string, Command>> = {
  connect: connectCommand,
  create: createCommand,
  disconnect: disconnectCommand,
  doctor: doctorCommand,
  inspect: inspectCommand,
  list: lsCommand,
  ls: lsCommand,
  prune: pruneCommand,
  rm: rmCommand,
};

interface Inspected {
  readonly NetworkSettings: { readonly Ports: Readonly<Record<string, readonly HostPort[] | null>> };
}

const onHost = ({ HostIp, HostPort }: HostPort): string =>
  `${HostIp.includes(":") ? `[${HostIp}]` : HostIp}:${HostPort}`;

export const portCommand: Command = {
  usage: "port CONTAINER [PRIVATE_PORT[/PROTO]]",
  summary: "List port mappings or a specific mapping for the container",
  flags: {},
  args: [1, 2],
  async run(client, flags) {
    const [container = "", asked] = flags.args;
    const { NetworkSettings } = await client.get<Inspected>(`${containerPath(container)}/json`);
    const ports = Object.entries(NetworkSettings.Ports).flatMap(([name, bindings]) =>
      (bindings ?? []).map((binding) => ({ name, text: onHost(binding) })),
    );
    if (asked === undefined) {
      printLines(
        ports
          .map(({ name, text }) => `${name} -> ${text}`)
          .toSorted()
          .join("\n"),
      );
      return 0;
    }
    const wanted = asked.includes("/") ? asked : `${asked}/tcp`;
    const found = ports.filter(({ name }) => name === wanted);
    if (found.length === 0) throw new Error(`Error: No public port '${wanted}' published for ${container}`);
    printLines(
      found
        .map(({ text }) => text)
        .toSorted()
        .join("\n"),
    );
    return 0;
  },
};
