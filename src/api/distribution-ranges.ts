/** Parts of what there is: byte ranges of blobs, pages of lists. */

import { ProtocolError } from "../image/protocol-error.ts";
import type { Ctx } from "./context.ts";

/**
 * One range of a Range header. Source: RFC 9110 section 14.
 * @returns from `start` up to, and without, `end`; undefined where the whole is to be sent: no range, several, or one that is none
 */
export function rangeOf(
  header: string | undefined,
  size: number,
): { readonly start: number; readonly end: number } | "unsatisfiable" | undefined {
  const [found, first = "", last = ""] = /^bytes=(\d*)-(\d*)$/.exec(header ?? "") ?? [];
  if (found === undefined || (first === "" && last === "")) return undefined;
  const start = first === "" ? Math.max(0, size - Number(last)) : Number(first);
  const end = first === "" || last === "" ? size : Math.min(size, Number(last) + 1);
  if (first !== "" && last !== "" && Number(last) < Number(first)) return undefined;
  return start < end ? { start, end } : "unsatisfiable";
}

/** Most items of a page. */
const most = 1000;

/**
 * `?n=` items after `?last=`.
 * @param items  sorted
 * @returns      the page, and the Link to the next one. @throws ProtocolError for a number that is none
 */
export function page(
  c: Ctx,
  items: readonly string[],
  path: string,
): { readonly items: readonly string[]; readonly link: Readonly<Record<string, string>> } {
  const text = c.req.query("n");
  if (text !== undefined && !/^\d{1,9}$/.test(text))
    throw new ProtocolError("PAGINATION_NUMBER_INVALID", `invalid number of results requested: ${text.slice(0, 100)}`);
  const size = Math.min(text === undefined ? most : Number(text), most);
  const last = c.req.query("last");
  const rest = last === undefined ? items : items.filter((item) => item > last);
  const shown = rest.slice(0, size);
  const end = shown.at(-1);
  if (end === undefined || shown.length === rest.length) return { items: shown, link: {} };
  return {
    items: shown,
    link: { Link: `<${path}?${new URLSearchParams({ n: String(size), last: end })}>; rel="next"` },
  };
}
