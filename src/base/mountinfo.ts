/** Mounts of this namespace, as /proc/self/mountinfo lists them. Source: proc_pid_mountinfo(5). */

import { readFile } from "node:fs/promises";

/** @param text  in which space, tab, newline and backslash are three octal digits, as `\040` */
const unescapedPath = (text: string): string =>
  text.replace(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)));

/** @param line  of mountinfo. @returns where it is mounted; undefined for an empty line */
export function mountPointOf(line: string): string | undefined {
  const field = line.split(" ", 5)[4];
  return field === undefined ? undefined : unescapedPath(field);
}

/**
 * @param directory  absolute
 * @returns          mount points below it, innermost last; one that has several mounts on top of each other comes as often
 */
export async function mountsBelow(directory: string): Promise<string[]> {
  const text = await readFile("/proc/self/mountinfo", "utf8");
  const points = text.split("\n").flatMap((line) => mountPointOf(line) ?? []);
  return points.filter((point) => point.startsWith(`${directory}/`)).sort();
}

export interface HostMount {
  readonly point: string;
  readonly shared: boolean;
  readonly slave: boolean;
}

/** @param text  of mountinfo. Source: proc_pid_mountinfo(5), "optional fields" */
export function parseMounts(text: string): readonly HostMount[] {
  return text.split("\n").flatMap((line) => {
    const fields = line.split(" ");
    const optional = fields.slice(6, fields.indexOf("-"));
    const has = (name: string) => optional.some((field) => field.startsWith(`${name}:`));
    return fields[4] === undefined
      ? []
      : [{ point: unescapedPath(fields[4]), shared: has("shared"), slave: has("master") }];
  });
}

/** @param path  absolute, without links. @returns the mount that it is on: the last of those that are on top of each other */
export function mountOf(mounts: readonly HostMount[], path: string): HostMount {
  const above = mounts.filter(({ point }) => point === "/" || path === point || path.startsWith(`${point}/`));
  const longest = Math.max(0, ...above.map(({ point }) => point.length));
  return above.findLast(({ point }) => point.length === longest) ?? { point: "/", shared: false, slave: false };
}
