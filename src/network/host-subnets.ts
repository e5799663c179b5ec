/** Where the host's routes lead now: no network of ours may have addresses there. */

import { readFileSync } from "node:fs";
import { hasCode } from "../base/errors.ts";
import { parseRoutes, parseRoutes6, type Subnet } from "./addresses.ts";

export function hostSubnets(): readonly Subnet[] {
  return [...parseRoutes(tableOf("/proc/net/route")), ...parseRoutes6(tableOf("/proc/net/ipv6_route"))];
}

/** A kernel without IPv6 has no such file. */
function tableOf(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    if (hasCode(error, "ENOENT")) return "";
    throw error;
  }
}
