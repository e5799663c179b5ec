/** Kinds of errors → HTTP status codes, in Docker's shape: `{"message":"…"}` and a newline. Source: Moby, httpstatus/status.go. */

import { type ErrorKind, kindOf, messageOf } from "../base/errors.ts";
import { json } from "./context.ts";

export const STATUS: Readonly<Record<ErrorKind, number>> = {
  notFound: 404,
  invalid: 400,
  conflict: 409,
  unauthorized: 401,
  forbidden: 403,
  unavailable: 503,
  notModified: 304,
  notImplemented: 501,
  corrupt: 500,
  internal: 500,
};

/** 304 has no body, by RFC 9110 section 15.4.5. */
export function errorResponse(thrown: unknown): Response {
  const status = STATUS[kindOf(thrown)];
  if (status === 304) return new Response(null, { status });
  return json({ message: messageOf(thrown) }, status);
}
