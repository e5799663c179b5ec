/** Lists as docker prints them: a table, JSON, or a Go template of the user's. */

import type { FlagSpec } from "./flags.ts";
import { table } from "./table.ts";
import { parseTemplate } from "./template.ts";

/** Fields by docker's names, as text. */
export type Row = Readonly<Record<string, string>>;

export interface Layout {
  /** Of the default table, in order. */
  readonly columns: readonly string[];
  /** Field → its heading. */
  readonly headings: Row;
}

export const LIST_FORMAT: FlagSpec = {
  kind: "text",
  help: "Format output: 'table', 'table TEMPLATE', 'json' or a Go template",
};

/** As it stands on a command line: `\t` and `\n` are meant. */
const unescaped = (text: string): string => text.replaceAll("\\t", "\t").replaceAll("\\n", "\n");

/** @param format  of `--format`; undefined for the default table. @throws Error for a malformed template */
export function formatted(rows: readonly Row[], format: string | undefined, { columns, headings }: Layout): string {
  const cells = (row: Row) => columns.map((column) => row[column] ?? "");
  if (format === undefined || format === "table") return table([cells(headings), ...rows.map(cells)]);
  if (format === "json") return rows.map((row) => JSON.stringify(row)).join("\n");
  const isTable = format.startsWith("table ");
  const fill = parseTemplate(unescaped(isTable ? format.slice("table ".length) : format));
  if (!isTable) return rows.map(fill).join("\n");
  return table([headings, ...rows].map((row) => fill(row).split("\t")));
}

/** One line at a time, and none for nothing. */
export function printLines(text: string): void {
  if (text !== "") process.stdout.write(`${text}\n`);
}
