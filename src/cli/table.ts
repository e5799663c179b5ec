/** Columns of text, and the numbers and times in them as docker shows them. */

/** Narrower columns are filled up: with the blanks that follow it a column has ten characters at least, as docker's. */
const NARROWEST = 7;

/** Cells padded to their column, three blanks between. */
export function table(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) =>
    Math.max(NARROWEST, ...rows.map((row) => row[column]?.length ?? 0)),
  );
  return rows
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join("   ")
        .trimEnd(),
    )
    .join("\n");
}

export const truncated = (text: string, width: number): string =>
  text.length > width ? `${text.slice(0, width - 1)}…` : text;

export const shortId = (id: string): string => id.replace(/^sha256:/, "").slice(0, 12);

const UNITS = ["B", "kB", "MB", "GB", "TB"];

/** Three significant digits, powers of 1000. */
export function humanSize(bytes: number): string {
  let value = bytes;
  let unit = 0;
  for (; value >= 1000 && unit < UNITS.length - 1; unit++) value /= 1000;
  return `${Number(value.toPrecision(3))}${UNITS[unit]}`;
}

const SPANS: readonly (readonly [seconds: number, name: string])[] = [
  [31536000, "year"],
  [2592000, "month"],
  [604800, "week"],
  [86400, "day"],
  [3600, "hour"],
  [60, "minute"],
  [1, "second"],
];

/** @param seconds  since 1970 */
export function ago(seconds: number): string {
  const age = Math.max(1, Math.floor(Date.now() / 1000 - seconds));
  const [size, name] = SPANS.find(([span]) => age >= span * (span > 60 ? 2 : 1)) ?? [1, "second"];
  const count = Math.floor(age / size);
  return `${count} ${name}${count === 1 ? "" : "s"} ago`;
}

/** `x:tag` at its last colon, which is no port's. */
export function splitTag(reference: string): readonly [name: string, tag: string] {
  const at = reference.lastIndexOf(":");
  return at > reference.lastIndexOf("/") ? [reference.slice(0, at), reference.slice(at + 1)] : [reference, "<none>"];
}

/** As Go prints times: `2024-05-06 07:08:09 +0000 UTC`. @param seconds  since 1970 */
export const localTime = (seconds: number): string =>
  `${new Date(seconds * 1000).toISOString().slice(0, 19).replace("T", " ")} +0000 UTC`;
