/** Refusals of the registry that this engine is, in the words of its protocol. Source: OCI distribution-spec v1.1, "Error Codes". */

import { BosunError, type ErrorKind } from "../base/errors.ts";

const KINDS = {
  BLOB_UNKNOWN: "notFound",
  BLOB_UPLOAD_INVALID: "conflict",
  BLOB_UPLOAD_UNKNOWN: "notFound",
  DIGEST_INVALID: "invalid",
  MANIFEST_BLOB_UNKNOWN: "notFound",
  MANIFEST_INVALID: "invalid",
  MANIFEST_UNKNOWN: "notFound",
  NAME_INVALID: "invalid",
  NAME_UNKNOWN: "notFound",
  PAGINATION_NUMBER_INVALID: "invalid",
  SIZE_INVALID: "invalid",
  DENIED: "forbidden",
  TOOMANYREQUESTS: "unavailable",
} as const satisfies Readonly<Record<string, ErrorKind>>;

export type ProtocolCode = keyof typeof KINDS;

export class ProtocolError extends BosunError {
  constructor(
    readonly code: ProtocolCode,
    message: string,
    options?: ErrorOptions,
  ) {
    super(KINDS[code], message, options);
  }
}
