/** `--device-cgroup-rule`: devices that a container may use without being given their nodes. Pure. */

import { invalid } from "../base/errors.ts";
import type { DeviceRule } from "../runtime/cgroup.ts";

const RULE = /^([acb]) (\d+|\*):(\d+|\*) ([rwm]{1,3})$/;

/** `c 7:* rmw` → rules. What is said of both kinds of device is said of each. @throws invalid in Docker's words */
export function parseDeviceRule(text: string): readonly DeviceRule[] {
  const [, kind, major, minor, access = ""] = RULE.exec(text) ?? [];
  if (kind === undefined) throw invalid(`invalid device cgroup rule format: '${text}'`);
  const number = (given = "*") => (given === "*" ? -1 : Number(given));
  const types: readonly ("b" | "c")[] = kind === "a" ? ["b", "c"] : [kind === "b" ? "b" : "c"];
  return types.map((type) => ({ allow: true, type, major: number(major), minor: number(minor), access }));
}
