/** What a request carries from the socket to its handler, and the small readers that every router shares. */

import type { Duplex } from "node:stream";
import type { Context } from "hono";
import { invalid } from "../base/errors.ts";

/** A connection that asked to be upgraded: raw from here on, once `accept` has written the 101. */
export interface Upgrade {
  readonly protocol: string;
  accept(contentType: string): Duplex;
  /** In HTTP's own words, for protocols that others have defined. @param headers  beside those that every such answer has */
  switchProtocols(headers: Readonly<Record<string, string>>): Duplex;
}

export interface Bindings {
  /** The API version the client speaks. */
  readonly version: ApiVersion;
  readonly upgrade: Upgrade | undefined;
  /** Aborted when the client leaves. */
  readonly signal: AbortSignal;
}

export type Env = { Bindings: Bindings };
export type Ctx = Context<Env>;

/** `1.43` as 1043, so that versions compare as numbers. */
export type ApiVersion = number;
export const apiVersion = (major: number, minor: number): ApiVersion => major * 1000 + minor;
export const versionText = (version: ApiVersion): string => `${Math.floor(version / 1000)}.${version % 1000}`;

/** Docker's booleans: ``, `0`, `no`, `false`, `none` are false, anything else is true. Source: Moby, httputils/form.go. */
export function flag(c: Ctx, name: string, fallback = false): boolean {
  const text = c.req.query(name);
  return text === undefined ? fallback : !["", "0", "no", "false", "none"].includes(text.trim().toLowerCase());
}

/** @throws invalid when it is there and not a whole number */
export function integer(c: Ctx, name: string): number | undefined {
  const text = c.req.query(name);
  if (text === undefined || text === "") return undefined;
  const value = Number(text);
  if (!Number.isSafeInteger(value)) throw invalid(`invalid value for ${name}: ${JSON.stringify(text)}`);
  return value;
}

/** A path parameter of a route that has it. */
export function param(c: Ctx, name: string): string {
  const value = c.req.param(name);
  if (!value) throw invalid(`missing ${name}`);
  return value;
}

/** Documents larger than this are nobody's container configuration. */
const BODY_LIMIT = 4 << 20;

/** @returns the request's JSON; undefined for an empty body. @throws invalid */
export async function jsonBody(c: Ctx): Promise<unknown> {
  const length = c.req.header("content-length");
  if (Number(length) > BODY_LIMIT) throw invalid(`request body too large: ${length} bytes, limit ${BODY_LIMIT}`);
  const text = await bodyText(c);
  if (text.trim() === "") return undefined;
  const type = c.req.header("content-type") ?? "";
  if (type.split(";", 1)[0]?.trim().toLowerCase() !== "application/json")
    throw invalid(`unsupported Content-Type header (${type}): must be 'application/json'`);
  try {
    return JSON.parse(text);
  } catch (error) {
    throw invalid(`invalid JSON: ${error instanceof Error ? error.message : error}`);
  }
}

async function bodyText(c: Ctx): Promise<string> {
  if (!c.req.raw.body) return "";
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of c.req.raw.body) {
    size += chunk.byteLength;
    if (size > BODY_LIMIT) throw invalid(`request body too large: limit ${BODY_LIMIT} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

/** JSON that is text already; its length is known, so that it is sent in one piece. */
export function jsonText(text: string, status = 200): Response {
  const body = Buffer.from(`${text}\n`);
  const headers = { "Content-Type": "application/json", "Content-Length": String(body.byteLength) };
  return new Response(body, { status, headers });
}

export const json = (value: unknown, status = 200): Response => jsonText(JSON.stringify(value), status);

export const empty = (status: number): Response => new Response(null, { status });
