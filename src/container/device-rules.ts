/** Devices that a container may use: the usual ones, those that it is given, and by `--device-cgroup-rule` others whose nodes it has not. Pure. */

import { invalid } from "../base/errors.ts";
import type { DeviceRule } from "../runtime/cgroup.ts";
import type { HostConfig } from "./config.ts";
import type { Device } from "./devices.ts";
import { DEVICE_RULES } from "./isolation.ts";

const RULE = /^([acb]) (\d+|\*):(\d+|\*) ([rwm]{1,3})$/;

/** `c 7:* rmw` → rules. What is said of both kinds of device is said of each. @throws invalid in Docker's words */
export function parseDeviceRule(text: string): readonly DeviceRule[] {
  const [, kind, major, minor, access = ""] = RULE.exec(text) ?? [];
  if (kind === undefined) throw invalid(`invalid device cgroup rule format: '${text}'`);
  const number = (given = "*") => (given === "*" ? -1 : Number(given));
  const types: readonly ("b" | "c")[] = kind === "a" ? ["b", "c"] : [kind === "b" ? "b" : "c"];
  return types.map((type) => ({ allow: true, type, major: number(major), minor: number(minor), access }));
}

const ALL: DeviceRule = { allow: true, type: "a", major: -1, minor: -1, access: "rwm" };

/** Of a container's cgroup. @param devices  that it is given. @throws invalid */
export function containerRules(host: HostConfig, devices: readonly Device[]): readonly DeviceRule[] {
  if (host.privileged) return [ALL];
  const own = [...devices.map(({ rule }) => rule), ...host.deviceCgroupRules.flatMap(parseDeviceRule)];
  return [...DEVICE_RULES, ...own];
}
