/** /networks. Source: Docker Engine API, tag Network. */

import { Hono } from "hono";
import { invalid } from "../base/errors.ts";
import type { Containers } from "../container/containers.ts";
import { isTo } from "../container/networking.ts";
import type { Network } from "../network/driver.ts";
import type { Endpoints, Place } from "../network/endpoints.ts";
import { isPredefined, type Networks } from "../network/networks.ts";
import type { PoolSpec } from "../network/pools.ts";
import { type Ctx, type Env, empty, json, jsonBody, param } from "./context.ts";
import { Document } from "./document.ts";
import { type Filters, parseFilters, untilOf } from "./filters.ts";
import { toAttachment } from "./networking-request.ts";
import type { Pruned, Pruning } from "./pruning.ts";

export interface NetworksApi {
  readonly networks: Networks;
  readonly endpoints: Endpoints;
  readonly containers: Containers;
  readonly pruning: Pruning;
}

const poolView = ({ subnet, range, gateway, auxiliary }: PoolSpec) => ({
  Subnet: subnet,
  ...(range && { IPRange: range }),
  ...(gateway && { Gateway: gateway }),
  ...(auxiliary && Object.keys(auxiliary).length > 0 && { AuxiliaryAddresses: auxiliary }),
});

function summary(network: Network) {
  return {
    Name: network.name,
    Id: network.id,
    Created: network.created,
    Scope: "local",
    Driver: network.driver,
    EnableIPv4: network.enableIPv4,
    EnableIPv6: network.enableIPv6,
    IPAM: {
      Driver: "default",
      Options: network.ipamOptions,
      Config: [...network.pools, ...(network.dormantPools ?? [])].map(poolView),
    },
    Internal: network.internal,
    Attachable: network.attachable,
    Ingress: false,
    ConfigFrom: { Network: "" },
    ConfigOnly: false,
    Containers: {},
    Options: network.options,
    Labels: network.labels,
  };
}

const withPrefix = (address: string, prefix: number): string => (address === "" ? "" : `${address}/${prefix}`);

const memberView = (name: string, { endpoint }: Place) => ({
  Name: name,
  EndpointID: endpoint.id,
  MacAddress: endpoint.macAddress,
  IPv4Address: withPrefix(endpoint.address, endpoint.prefix),
  IPv6Address: withPrefix(endpoint.address6, endpoint.prefix6),
});

const nameOf = ({ containers }: NetworksApi, id: string): string => containers.records.find(id)?.name ?? "";

function inspect(api: NetworksApi, network: Network) {
  const members = [...api.endpoints.members(network.id)];
  return {
    ...summary(network),
    Containers: Object.fromEntries(members.map(([id, place]) => [id, memberView(nameOf(api, id), place)])),
  };
}

/** Some container names it, whether it runs or not. */
const isUsed = ({ containers }: NetworksApi, network: Network): boolean =>
  containers.records.all().some(({ networks }) => networks.some((attachment) => isTo(attachment, network)));

const FILTERS = ["driver", "id", "label", "name", "scope", "type", "dangling"];

function matches(api: NetworksApi, network: Network, filters: Filters): boolean {
  const type = isPredefined(network) ? "builtin" : "custom";
  const dangling = () => !isPredefined(network) && !isUsed(api, network);
  return (
    filters.labels(network.labels) &&
    filters.any("driver", (value) => value === network.driver) &&
    filters.any("id", (value) => network.id.includes(value)) &&
    filters.any("name", (value) => network.name.includes(value)) &&
    filters.any("scope", (value) => value === "local") &&
    filters.any("type", (value) => value === type) &&
    filters.any("dangling", (value) => /^(1|true)$/i.test(value) === dangling())
  );
}

function checkFilters(filters: Filters): void {
  for (const value of filters.get("type"))
    if (value !== "builtin" && value !== "custom") throw invalid(`invalid filter: 'type'='${value}'`);
  for (const value of filters.get("dangling"))
    if (!/^(0|1|true|false)$/i.test(value)) throw invalid(`invalid filter 'dangling=[${value}]'`);
}

function toPool(config: Document): PoolSpec {
  const [subnet, range, gateway] = [config.text("Subnet"), config.text("IPRange"), config.text("Gateway")];
  if (subnet === "") throw invalid("invalid network config:\nevery element of IPAM.Config needs a Subnet");
  const auxiliary = config.texts(config.has("AuxiliaryAddresses") ? "AuxiliaryAddresses" : "AuxAddress");
  return {
    subnet,
    ...(range !== "" && { range }),
    ...(gateway !== "" && { gateway }),
    ...(Object.keys(auxiliary).length > 0 && { auxiliary }),
  };
}

async function create(c: Ctx, { networks }: NetworksApi): Promise<Response> {
  const body = new Document(await jsonBody(c));
  if (body.flag("ConfigOnly") || body.document("ConfigFrom").text("Network") !== "" || body.flag("Ingress"))
    throw invalid("config-only and ingress networks are Swarm's, which this engine does not have");
  if (!["", "local"].includes(body.text("Scope"))) throw invalid(`invalid network scope: ${body.text("Scope")}`);
  const ipam = body.document("IPAM");
  if (!["", "default"].includes(ipam.text("Driver")))
    throw invalid(`invalid ipam driver: ${ipam.text("Driver")}: plugin not found`);
  const { id } = await networks.create({
    name: body.text("Name"),
    driver: body.text("Driver") || "bridge",
    enableIPv4: body.has("EnableIPv4") ? body.flag("EnableIPv4") : true,
    enableIPv6: body.flag("EnableIPv6"),
    internal: body.flag("Internal"),
    attachable: body.flag("Attachable"),
    options: body.texts("Options"),
    labels: body.texts("Labels"),
    ipamOptions: ipam.has("Options") ? ipam.texts("Options") : null,
    pools: ipam.documents("Config").map(toPool),
  });
  return json({ Id: id, Warning: "" }, 201);
}

async function connect(c: Ctx, { networks, containers }: NetworksApi): Promise<Response> {
  const body = new Document(await jsonBody(c));
  const { name } = networks.get(param(c, "name"));
  await containers.connect(body.text("Container"), toAttachment(name, body.document("EndpointConfig")));
  return empty(200);
}

async function disconnect(c: Ctx, { containers }: NetworksApi): Promise<Response> {
  const body = new Document(await jsonBody(c));
  await containers.disconnect(body.text("Container"), param(c, "name"), body.flag("Force"));
  return empty(200);
}

async function remove(api: NetworksApi, reference: string): Promise<void> {
  await api.networks.remove(reference, (network) => api.endpoints.checkUnused(network, (id) => nameOf(api, id)));
}

async function prune(c: Ctx, api: NetworksApi): Promise<Pruned> {
  const filters = parseFilters(c.req.query("filters"), ["until", "label", "label!"]);
  const until = untilOf(filters);
  const removed: string[] = [];
  for (const network of api.networks.list()) {
    const wanted = filters.labels(network.labels) && filters.withoutLabels(network.labels);
    if (isPredefined(network) || !wanted || isUsed(api, network)) continue;
    if (until !== undefined && Date.parse(network.created) >= until.getTime()) continue;
    await remove(api, network.id);
    removed.push(network.name);
  }
  return { body: { NetworksDeleted: removed.length > 0 ? removed : null }, bytes: 0 };
}

export function networksRouter(api: NetworksApi): Hono<Env> {
  const { networks, pruning } = api;
  return new Hono<Env>()
    .get("/networks", (c) => {
      const filters = parseFilters(c.req.query("filters"), FILTERS);
      checkFilters(filters);
      return json(
        networks
          .list()
          .filter((network) => matches(api, network, filters))
          .map(summary),
      );
    })
    .post("/networks/create", (c) => create(c, api))
    .post("/networks/prune", (c) => pruning.run("network", () => prune(c, api)))
    .post("/networks/:name{.+}/connect", (c) => connect(c, api))
    .post("/networks/:name{.+}/disconnect", (c) => disconnect(c, api))
    .get("/networks/:name{.+}", (c) => json(inspect(api, networks.get(param(c, "name")))))
    .delete("/networks/:name{.+}", async (c) => {
      await remove(api, param(c, "name"));
      return empty(204);
    });
}
