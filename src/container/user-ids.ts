/** Who a container's user is, by the files of its own root. Source: passwd(5), group(5); Docker's `--user`. */

import { closeSync, fstatSync, readFileSync } from "node:fs";
import { ifMissing, invalid } from "../base/errors.ts";
import { openInRoot } from "../base/paths.ts";

/** Longer ones are nobody's. */
const MOST_BYTES = 1 << 20;

/** Lines of a file in a root that is hostile, as their fields; none when there is no such file. */
function fieldsOf(root: string, path: string): readonly (readonly string[])[] {
  let fd: number;
  try {
    fd = openInRoot(root, path);
  } catch (error) {
    return ifMissing<readonly (readonly string[])[]>([], "ENOTDIR", "ELOOP")(error);
  }
  try {
    const stats = fstatSync(fd);
    if (!stats.isFile() || stats.size > MOST_BYTES) return [];
    const text = readFileSync(`/proc/self/fd/${fd}`, "utf8");
    return text.split("\n").map((line) => line.split(":"));
  } finally {
    closeSync(fd);
  }
}

const isNumber = (text: string): boolean => /^\d{1,10}$/.test(text);

/** @param user  `name|uid[:name|gid]`; empty for root. @throws invalid for names that are unknown */
export function idsOf(root: string, user: string): { readonly uid: number; readonly gid: number } {
  const [name = "", group] = user.split(":");
  const entry = fieldsOf(root, "/etc/passwd").find(
    (fields) => fields[0] === name || (isNumber(name) && fields[2] === name),
  );
  if (!entry && !isNumber(name) && name !== "")
    throw invalid(`unable to find user ${name}: no matching entries in passwd file`);
  const uid = Number(entry?.[2] ?? (name || 0));
  if (group === undefined) return { uid, gid: Number(entry?.[3] ?? 0) };
  if (isNumber(group)) return { uid, gid: Number(group) };
  const found = fieldsOf(root, "/etc/group").find((fields) => fields[0] === group);
  if (!found) throw invalid(`unable to find group ${group}: no matching entries in group file`);
  return { uid, gid: Number(found[2]) };
}
