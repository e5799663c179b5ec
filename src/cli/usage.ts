/** `system df`, `system fsck`, `events`. */

import type { Command } from "./command.ts";
import { filterQuery } from "./filters.ts";
import { formatted, type Layout, LIST_FORMAT, printLines, type Row } from "./format.ts";
import { rowsOf, type Summary } from "./image-list.ts";
import { humanSize, shortId, table } from "./table.ts";
import { parseTemplate } from "./template.ts";
import { type VolumeSummary, volumeDetails } from "./volumes.ts";

interface Usage {
  readonly LayersSize: number;
  readonly Images: readonly Summary[] | null;
  readonly Containers:
    | readonly {
        readonly Id: string;
        readonly Names: readonly string[];
        readonly Image: string;
        readonly State: string;
        readonly Status: string;
        readonly SizeRw?: number;
      }[]
    | null;
  readonly Volumes: readonly VolumeSummary[] | null;
}

const DF: Layout = {
  columns: ["Type", "TotalCount", "Active", "Size", "Reclaimable"],
  headings: { Type: "TYPE", TotalCount: "TOTAL", Active: "ACTIVE", Size: "SIZE", Reclaimable: "RECLAIMABLE" },
};

function line(Type: string, total: number, active: number, size: number, reclaimable: number): Row {
  const share = size > 0 ? ` (${Math.floor((reclaimable / size) * 100)}%)` : "";
  return {
    Type,
    TotalCount: String(total),
    Active: String(active),
    Size: humanSize(size),
    Reclaimable: `${humanSize(reclaimable)}${share}`,
  };
}

function dfRows({ LayersSize, Images, Containers, Volumes }: Usage): readonly Row[] {
  const images = Images ?? [];
  const containers = Containers ?? [];
  const used = images.filter((image) => image.Containers > 0);
  const kept = used.reduce((sum, { Size, SharedSize }) => sum + Size - SharedSize, 0);
  const isLive = (state: string) => ["running", "paused", "restarting"].includes(state);
  const live = containers.filter(({ State }) => isLive(State));
  const bytes = (of: typeof containers) => of.reduce((sum, { SizeRw = 0 }) => sum + SizeRw, 0);
  const volumes = Volumes ?? [];
  const inUse = volumes.filter(({ UsageData }) => (UsageData?.RefCount ?? 0) > 0);
  const held = (of: typeof volumes) =>
    of.reduce((total, { UsageData }) => total + Math.max(0, UsageData?.Size ?? 0), 0);
  return [
    line("Images", images.length, used.length, LayersSize, Math.max(0, LayersSize - kept)),
    line("Containers", containers.length, live.length, bytes(containers), bytes(containers) - bytes(live)),
    line("Local Volumes", volumes.length, inUse.length, held(volumes), held(volumes) - held(inUse)),
  ];
}

function details({ Images, Containers, Volumes }: Usage): string {
  const columns = ["Repository", "Tag", "ID", "CreatedSince", "Size", "SharedSize", "UniqueSize", "Containers"];
  const headings = ["REPOSITORY", "TAG", "IMAGE ID", "CREATED", "SIZE", "SHARED SIZE", "UNIQUE SIZE", "CONTAINERS"];
  const images = (Images ?? []).flatMap((image) => rowsOf(image, false));
  const containers = (Containers ?? []).map(({ Id, Image, SizeRw = 0, Status, Names }) => [
    shortId(Id),
    Image,
    humanSize(SizeRw),
    Status,
    Names.map((name) => name.replace(/^\//, "")).join(","),
  ]);
  return [
    "Images space usage:\n",
    table([headings, ...images.map((row) => columns.map((column) => row[column] ?? ""))]),
    "\nContainers space usage:\n",
    table([["CONTAINER ID", "IMAGE", "SIZE", "STATUS", "NAMES"], ...containers]),
    "\nLocal Volumes space usage:\n",
    volumeDetails(Volumes ?? []),
  ].join("\n");
}

export const dfCommand: Command = {
  usage: "system df [OPTIONS]",
  summary: "Show disk usage",
  flags: {
    format: LIST_FORMAT,
    verbose: { kind: "bool", short: "v", help: "Show detailed information on space usage" },
  },
  args: [0, 0],
  async run(client, flags) {
    const usage = await client.get<Usage>("/system/df");
    printLines(flags.on("verbose") ? details(usage) : formatted(dfRows(usage), flags.text("format"), DF));
    return 0;
  },
};

interface Finding {
  readonly what?: string;
  readonly name?: string;
  readonly detail?: string;
  readonly repaired?: string;
  readonly failed?: string;
  readonly found?: number;
  readonly left?: number;
  readonly error?: string;
}

const findingText = ({ what, name, detail, repaired, failed }: Finding): string =>
  `${what} ${name}: ${detail}${repaired ? ` → ${repaired}` : ""}${failed ? ` → not repaired: ${failed}` : ""}`;

/** Of Bosun alone: dockerd has no such thing. */
export const fsckCommand: Command = {
  usage: "system fsck [OPTIONS]",
  summary: "Check the engine's stores for orphans and damage; exits with 1 when something is left",
  flags: {
    full: { kind: "bool", help: "Read every byte, too" },
    repair: { kind: "bool", help: "Remove orphans, and make again what can be made again" },
  },
  args: [0, 0],
  async run(client, flags) {
    const query = { full: flags.on("full") ? "1" : "0", repair: flags.on("repair") ? "1" : "0" };
    const response = await client.request("POST", "/bosun/fsck", { query });
    let left = Number.NaN; // until it says so, nobody knows
    for await (const finding of client.objects<Finding>(response)) {
      if (finding.error !== undefined) throw new Error(finding.error);
      if (finding.left === undefined) console.log(findingText(finding));
      else {
        left = finding.left;
        console.log(`${finding.found} found, ${left} left`);
      }
    }
    return left === 0 ? 0 : 1;
  },
};

interface EngineEvent {
  readonly Type: string;
  readonly Action: string;
  readonly Actor: { readonly ID: string; readonly Attributes: Readonly<Record<string, string>> };
  readonly timeNano: number;
}

function eventText({ Type, Action, Actor, timeNano }: EngineEvent): string {
  const attributes = Object.entries(Actor.Attributes)
    .toSorted(([one], [other]) => (one < other ? -1 : 1))
    .map(([name, value]) => `${name}=${value}`);
  const at = new Date(timeNano / 1e6).toISOString().replace("Z", "000000Z");
  return `${at} ${Type} ${Action} ${Actor.ID}${attributes.length > 0 ? ` (${attributes.join(", ")})` : ""}`;
}

export const eventsCommand: Command = {
  usage: "events [OPTIONS]",
  summary: "Get real time events from the server",
  flags: {
    filter: { kind: "list", short: "f", help: "Filter output based on conditions provided" },
    format: { kind: "text", help: "Format output: 'json' or a Go template" },
    since: { kind: "text", help: "Show all events created since timestamp" },
    until: { kind: "text", help: "Stream events until this timestamp" },
  },
  args: [0, 0],
  async run(client, flags) {
    const format = flags.text("format");
    const fill = format === undefined || format === "json" ? undefined : parseTemplate(format);
    const query = {
      filters: filterQuery(flags.list("filter")),
      since: flags.text("since"),
      until: flags.text("until"),
    };
    const response = await client.request("GET", "/events", { query });
    for await (const event of client.objects<EngineEvent>(response))
      console.log(fill ? fill(event) : format === "json" ? JSON.stringify(event) : eventText(event));
    return 0;
  },
};
