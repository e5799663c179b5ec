/** Other limits for a container that runs: from a document of resources, or from options. Source: runc-update(8). */

import { readFileSync } from "node:fs";
import { conflict, invalid } from "../base/errors.ts";
import type { OciResources } from "./config.ts";
import { resourcesDecoder } from "./config.ts";
import type { Flag, Parsed } from "./flags.ts";
import type { Lifecycle } from "./lifecycle.ts";
import { limitsOf } from "./resources.ts";
import { parseDocument } from "./schema.ts";

const UNITS: Readonly<Record<string, number>> = { "": 1, b: 1, k: 2 ** 10, m: 2 ** 20, g: 2 ** 30 };

/** `64m` → bytes; -1 lifts a limit. */
function bytesOf(text: string): number {
  const [, digits = "", unit = ""] = /^(-?\d+)([bkmg]?)b?$/i.exec(text) ?? [];
  if (digits === "") throw invalid(`invalid value ${JSON.stringify(text)}: want bytes, as 64m`);
  return Number(digits) * (UNITS[unit.toLowerCase()] ?? 1);
}

const countOf = (text: string): number => {
  if (!/^-?\d+$/.test(text)) throw invalid(`invalid value ${JSON.stringify(text)}: want a whole number`);
  return Number(text);
};

/** Each option's place in the document. */
const PLACES: Readonly<
  Record<string, readonly [group: string, name: string, parse: (text: string) => number | string]>
> = {
  memory: ["memory", "limit", bytesOf],
  "memory-reservation": ["memory", "reservation", bytesOf],
  "memory-swap": ["memory", "swap", bytesOf],
  "cpu-period": ["cpu", "period", countOf],
  "cpu-quota": ["cpu", "quota", countOf],
  "cpu-burst": ["cpu", "burst", countOf],
  "cpu-share": ["cpu", "shares", countOf],
  "cpu-rt-period": ["cpu", "realtimePeriod", countOf],
  "cpu-rt-runtime": ["cpu", "realtimeRuntime", countOf],
  "cpu-idle": ["cpu", "idle", countOf],
  "cpuset-cpus": ["cpu", "cpus", (text) => text],
  "cpuset-mems": ["cpu", "mems", (text) => text],
  "blkio-weight": ["blockIO", "weight", countOf],
  "pids-limit": ["pids", "limit", countOf],
};

export const UPDATE_FLAGS: readonly Flag[] = [
  { name: "resources", short: "r", value: "FILE", help: "resources as JSON, from a file or - for stdin" },
  ...Object.keys(PLACES).map((name) => ({ name, value: "VALUE", help: `other ${name.replaceAll("-", " ")}` })),
];

function fromOptions(flags: Parsed): OciResources {
  const document: Record<string, Record<string, number | string>> = {};
  for (const [name, [group, member, parse]] of Object.entries(PLACES)) {
    const text = flags.text(name);
    if (text !== undefined) document[group] = { ...document[group], [member]: parse(text) };
  }
  return resourcesDecoder(document, "");
}

/** @throws conflict when it does not run, invalid when a limit is refused */
export async function update({ states, cgroups }: Lifecycle, flags: Parsed): Promise<void> {
  const [id = ""] = flags.args;
  const record = states.load(id);
  if ((await states.status(record, cgroups)) === "stopped") throw conflict("container not running");
  const file = flags.text("resources");
  const resources =
    file === undefined
      ? fromOptions(flags)
      : parseDocument("resources", readFileSync(file === "-" ? "/dev/stdin" : file, "utf8"), resourcesDecoder);
  if (resources.devices.length > 0) throw invalid("cannot update devices of a running container");
  await cgroups.update(record.cgroup, limitsOf(resources, cgroups.version, cgroups.features));
}
