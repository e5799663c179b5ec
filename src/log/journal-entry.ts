/** Entries of systemd's journal. Pure. Source: systemd, "Native Journal Protocol"; fields: Docker's documentation, "Journald logging driver". */

import type { LogEntry, LogSubject } from "./driver.ts";

const PRIORITY = { stdout: "6", stderr: "3" } as const;

/** Capitals, digits and `_`, and not `_` at first; nothing when nothing is left. */
const fieldName = (name: string): string =>
  name
    .toUpperCase()
    .replace(/[^A-Z0-9]/g, "_")
    .replace(/^_+/, "");

/** `NAME=value`, or, for what has a newline in it, the name, the length in 8 bytes, the lowest first, and the value. */
function field(name: string, value: string): Buffer {
  const bytes = Buffer.from(value);
  if (!bytes.includes(10)) return Buffer.from(`${name}=${value}\n`);
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(bytes.length));
  return Buffer.concat([Buffer.from(`${name}\n`), length, bytes, Buffer.from("\n")]);
}

/** What is the same in all of a container's entries. */
export const journalFields = ({ id, name, image }: LogSubject, tag: string): Readonly<Record<string, string>> => ({
  CONTAINER_ID: id.slice(0, 12),
  CONTAINER_ID_FULL: id,
  CONTAINER_NAME: name,
  CONTAINER_TAG: tag,
  IMAGE_NAME: image,
  SYSLOG_IDENTIFIER: tag,
});

export function journalEntry(
  { stream, time, line, attributes = {} }: LogEntry,
  fields: Readonly<Record<string, string>>,
): Buffer {
  const named = Object.entries(attributes).map(([name, value]): [string, string] => [fieldName(name), value]);
  const all: Record<string, string> = {
    ...fields,
    ...Object.fromEntries(named.filter(([name]) => name !== "")),
    PRIORITY: PRIORITY[stream],
    SYSLOG_TIMESTAMP: time,
    ...(!line.endsWith("\n") && { CONTAINER_PARTIAL_MESSAGE: "true" }),
    MESSAGE: line.replace(/\n$/, ""),
  };
  return Buffer.concat(Object.entries(all).map(([name, value]) => field(name, value)));
}
