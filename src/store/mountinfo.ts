/** Mounts of this namespace. Source: proc_pid_mountinfo(5). */

import { readFile } from "node:fs/promises";

/**
 * @param directory  absolute
 * @returns          mount points below it, innermost last; one that has several mounts on top of each other comes as often
 */
export async function mountsBelow(directory: string): Promise<string[]> {
  const text = await readFile("/proc/self/mountinfo", "utf8");
  const points = text.split("\n").flatMap((line) => {
    const point = line.split(" ")[4];
    return point === undefined ? [] : [unescaped(point)];
  });
  return points.filter((point) => point.startsWith(`${directory}/`)).sort();
}

/** Space, tab, newline and backslash are written as three octal digits. */
const unescaped = (text: string): string =>
  text.replace(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)));
