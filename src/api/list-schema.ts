/** The shape of GET /containers/json, from which its serialiser is generated. Source: Docker Engine API 1.50, ContainerSummary. */

const text = { type: "string" } as const;
const number = { type: "integer" } as const;
const texts = { type: ["array", "null"], items: text } as const;

const endpoint = {
  type: "object",
  properties: {
    IPAMConfig: {
      type: ["object", "null"],
      properties: { IPv4Address: text, IPv6Address: text, LinkLocalIPs: texts },
    },
    Links: texts,
    Aliases: texts,
    MacAddress: text,
    DriverOpts: { type: ["object", "null"], additionalProperties: text },
    GwPriority: number,
    NetworkID: text,
    EndpointID: text,
    Gateway: text,
    IPAddress: text,
    IPPrefixLen: number,
    IPv6Gateway: text,
    GlobalIPv6Address: text,
    GlobalIPv6PrefixLen: number,
    DNSNames: texts,
  },
} as const;

const port = { type: "object", properties: { IP: text, PrivatePort: number, PublicPort: number, Type: text } } as const;

const mount = {
  type: "object",
  properties: {
    Type: text,
    Name: text,
    Source: text,
    Destination: text,
    Driver: text,
    Mode: text,
    RW: { type: "boolean" },
    Propagation: text,
  },
} as const;

export const containerListSchema = {
  type: "array",
  items: {
    type: "object",
    properties: {
      Id: text,
      Names: { type: "array", items: text },
      Image: text,
      ImageID: text,
      Command: text,
      Created: number,
      Ports: { type: "array", items: port },
      SizeRw: number,
      SizeRootFs: number,
      Labels: { type: "object", additionalProperties: text },
      State: text,
      Status: text,
      HostConfig: { type: "object", properties: { NetworkMode: text } },
      NetworkSettings: {
        type: "object",
        properties: { Networks: { type: "object", additionalProperties: endpoint } },
      },
      Mounts: { type: "array", items: mount },
    },
  },
} as const;
