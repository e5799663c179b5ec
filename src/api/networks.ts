/** /networks. Source: Docker Engine API, tag Network. */

import { Hono } from "hono";
import { notImplemented } from "../base/errors.ts";
import type { Network, Networks } from "../network/networks.ts";
import { type Env, json, param } from "./context.ts";
import { parseFilters } from "./filters.ts";

function wire(network: Network, networks: Networks, nameOf: (containerId: string) => string) {
  const { subnet, gateway, options } = network.driver.info();
  const members = [...networks.members(network.id)].map(([id, endpoint]) => [
    id,
    {
      Name: nameOf(id),
      EndpointID: endpoint.id,
      MacAddress: endpoint.macAddress,
      IPv4Address: endpoint.address === "" ? "" : `${endpoint.address}/${endpoint.prefix}`,
      IPv6Address: "",
    },
  ]);
  return {
    Name: network.name,
    Id: network.id,
    Created: network.created,
    Scope: "local",
    Driver: network.driver.name,
    EnableIPv4: true,
    EnableIPv6: false,
    IPAM: { Driver: "default", Options: null, Config: subnet === "" ? [] : [{ Subnet: subnet, Gateway: gateway }] },
    Internal: false,
    Attachable: false,
    Ingress: false,
    ConfigFrom: { Network: "" },
    ConfigOnly: false,
    Containers: Object.fromEntries(members),
    Options: options,
    Labels: {},
  };
}

const FILTERS = ["driver", "id", "label", "name", "scope", "type", "dangling"];

export function networksRouter(networks: Networks, nameOf: (containerId: string) => string): Hono<Env> {
  const later = () => {
    throw notImplemented("user-defined networks are not supported yet");
  };
  return new Hono<Env>()
    .get("/networks", (c) => {
      const filters = parseFilters(c.req.query("filters"), FILTERS);
      const listed = networks
        .list()
        .filter(
          ({ id, name, driver }) =>
            filters.any("driver", (value) => value === driver.name) &&
            filters.any("id", (value) => id.includes(value)) &&
            filters.any("name", (value) => name.includes(value)) &&
            filters.any("scope", (value) => value === "local") &&
            filters.any("type", (value) => value === "builtin") &&
            filters.any("dangling", (value) => !/^(1|true)$/i.test(value)) &&
            filters.get("label").length === 0,
        );
      return json(listed.map((network) => ({ ...wire(network, networks, nameOf), Containers: {} })));
    })
    .post("/networks/create", later)
    .post("/networks/prune", () => json({ NetworksDeleted: null })) // what is predefined is never pruned
    .post("/networks/:name/connect", later)
    .post("/networks/:name/disconnect", later)
    .get("/networks/:name", (c) => json(wire(networks.get(param(c, "name")), networks, nameOf)))
    .delete("/networks/:name", (c) => networks.remove(param(c, "name")));
}
