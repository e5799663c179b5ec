/** /_ping, /version, /info, /events. Source: Docker Engine API, tag System. */

import { Hono } from "hono";
import { invalid } from "../base/errors.ts";
import type { EngineEvent, Events, Subscription } from "../events.ts";
import { type Ctx, type Env, json, versionText } from "./context.ts";
import { type Filters, parseFilters } from "./filters.ts";
import { jsonLines } from "./jsonl.ts";
import { MAX_API, MIN_API } from "./server.ts";
import { parseTime } from "./times.ts";

/** Facts of the engine that the composition root collects. */
export interface SystemFacts {
  readonly version: { readonly engine: string; readonly commit: string; readonly built: string; readonly bun: string };
  readonly host: {
    readonly kernel: string;
    readonly operatingSystem: string;
    readonly osVersion: string;
    /** As Docker names it: `x86_64`, and Go's `amd64`. */
    readonly machine: string;
    readonly architecture: string;
    readonly name: string;
    readonly cpus: number;
    /** Bytes. */
    readonly memory: number;
  };
  /** The rest of /info, in Docker's spelling, as it is now. */
  info(): Promise<Readonly<Record<string, unknown>>>;
}

const NO_CACHE = { "Cache-Control": "no-cache, no-store, must-revalidate", Pragma: "no-cache" };

const ping = (body: string | null): Response =>
  new Response(body, {
    headers: {
      ...NO_CACHE,
      "Builder-Version": "1",
      Swarm: "inactive",
      "Content-Type": "text/plain; charset=utf-8",
      "Content-Length": body === null ? "0" : String(body.length),
    },
  });

function version({ version: { engine, commit, built, bun }, host }: SystemFacts) {
  const details = {
    ApiVersion: versionText(MAX_API),
    Arch: host.architecture,
    BuildTime: built,
    Experimental: "false",
    GitCommit: commit,
    GoVersion: `bun${bun}`,
    KernelVersion: host.kernel,
    MinAPIVersion: versionText(MIN_API),
    Os: "linux",
  };
  return {
    Platform: { Name: "Bosun" },
    Components: [{ Name: "Engine", Version: engine, Details: details }],
    Version: engine,
    ApiVersion: versionText(MAX_API),
    MinAPIVersion: versionText(MIN_API),
    GitCommit: commit,
    GoVersion: `bun${bun}`,
    Os: "linux",
    Arch: host.architecture,
    KernelVersion: host.kernel,
    BuildTime: built,
  };
}

/** Of these a filter's value is the beginning of an id or of a name, whatever the event is of. Source: Moby, daemon/events/filter.go. */
const NAMED = ["container", "network", "volume", "daemon", "plugin", "node", "service", "secret", "config"];
const EVENT_FILTERS = [...NAMED, "type", "event", "image", "label", "scope"];

const begins = ({ id, attributes: { name = "" } }: EngineEvent, value: string): boolean =>
  id.startsWith(value) || name.startsWith(value);

/** An image's own events, and those of containers that were made from it; a name without a tag means all tags. */
function isOfImage({ type, id, attributes }: EngineEvent, value: string): boolean {
  const name = (type === "image" ? attributes.name : attributes.image) ?? "";
  return [id, name, untagged(name)].includes(value);
}

const untagged = (name: string): string => name.replace(/(@|:(?=[^/]*$)).*$/, "");

const matches = (event: EngineEvent, filters: Filters): boolean =>
  filters.any("type", (value) => value === event.type) &&
  filters.any("event", (value) => event.action === value || event.action.startsWith(`${value}:`)) &&
  NAMED.every((name) => filters.any(name, (value) => begins(event, value))) &&
  filters.any("image", (value) => isOfImage(event, value)) &&
  filters.any("scope", (value) => value === "local") &&
  filters.labels(event.attributes);

function wire(event: EngineEvent) {
  const { type, action, id, attributes, at } = event;
  const from = attributes.image;
  return {
    ...(type === "container" && { status: action, id, ...(from !== undefined && { from }) }),
    ...(type === "image" && { status: action, id }),
    Type: type,
    Action: action,
    Actor: { ID: id, Attributes: attributes },
    scope: "local",
    time: Number(at / 1_000_000_000n),
    timeNano: Number(at),
  };
}

/** @throws invalid */
function subscription(c: Ctx): Subscription {
  const since = parseTime("since", c.req.query("since"));
  const until = parseTime("until", c.req.query("until"));
  if (since !== undefined && until !== undefined && until < since)
    throw invalid(`\`since\` time (${c.req.query("since")}) cannot be after \`until\` time (${c.req.query("until")})`);
  return { ...(since !== undefined && { since }), ...(until !== undefined && { until }), signal: c.env.signal };
}

async function* watch(events: Events, asked: Subscription, filters: Filters): AsyncGenerator<unknown> {
  for await (const event of events.watch(asked)) if (matches(event, filters)) yield wire(event);
}

export function systemRouter(facts: SystemFacts, events: Events): Hono<Env> {
  return new Hono<Env>()
    .get("/_ping", (c) => ping(c.req.method === "HEAD" ? null : "OK"))
    .get("/version", () => json(version(facts)))
    .get("/info", async () => json(await facts.info()))
    .get("/events", (c) => {
      const filters = parseFilters(c.req.query("filters"), EVENT_FILTERS);
      return jsonLines(watch(events, subscription(c), filters), "\n");
    });
}
