/** Refusals in the shape of the registry protocol: `{"errors":[{"code","message","detail"}]}`. Source: OCI distribution-spec v1.1, "Error Codes". */

import { kindOf, messageOf } from "../base/errors.ts";
import { ProtocolError } from "../image/protocol-error.ts";
import { STATUS } from "./errors.ts";

export function refusal(status: number, code: string, message: string): Response {
  const body = Buffer.from(JSON.stringify({ errors: [{ code, message, detail: null }] }));
  const headers = { "Content-Type": "application/json", "Content-Length": String(body.byteLength) };
  return new Response(body, { status, headers });
}

/** Where the specification wants another status than that of the kind. */
const STATUSES: Readonly<Record<string, number>> = { BLOB_UPLOAD_INVALID: 416, TOOMANYREQUESTS: 429 };

export function protocolError(thrown: unknown): Response {
  const status = STATUS[kindOf(thrown)];
  if (!(thrown instanceof ProtocolError)) return refusal(status, "UNKNOWN", messageOf(thrown));
  return refusal(STATUSES[thrown.code] ?? status, thrown.code, thrown.message);
}
