/** Errors of the domain. They carry a *kind*; src/api/errors.ts maps kinds to HTTP status codes, the domain knows none. */

export type ErrorKind =
  | "notFound"
  | "invalid"
  | "conflict"
  | "unauthorized"
  | "forbidden"
  | "unavailable"
  | "notModified"
  | "notImplemented"
  | "corrupt"
  | "internal";

export class BosunError extends Error {
  override readonly name = "BosunError";
  constructor(
    readonly kind: ErrorKind,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

type Maker = (message: string, options?: ErrorOptions) => BosunError;
const maker =
  (kind: ErrorKind): Maker =>
  (message, options) =>
    new BosunError(kind, message, options);

/** No such container, image, blob, … */
export const notFound = maker("notFound");
/** The request is malformed, or asks for something that cannot be. */
export const invalid = maker("invalid");
/** The request is well formed but contradicts the present state: a name taken, a container running. */
export const conflict = maker("conflict");
export const unauthorized = maker("unauthorized");
export const forbidden = maker("forbidden");
/** Something that the request needs is not there now: a registry, a disk with space. */
export const unavailable = maker("unavailable");
/** Nothing to do: the container runs already. Clients treat it as success. */
export const notModified = maker("notModified");
/** An option or endpoint that this engine does not have yet. */
export const notImplemented = maker("notImplemented");
/** Bytes that are not what they were promised to be: a digest mismatch, a malformed tar or manifest. */
export const corrupt = maker("corrupt");
/** A defect of ours or a failing kernel call. */
export const internal = maker("internal");

/** @returns the kind of anything thrown; what is not ours is `internal`. */
export const kindOf = (thrown: unknown): ErrorKind => (thrown instanceof BosunError ? thrown.kind : "internal");

/** @returns the text of anything thrown. */
export const messageOf = (thrown: unknown): string => (thrown instanceof Error ? thrown.message : String(thrown));

/** @returns whether `thrown` is a failed system call, node's or ours (system-error.ts), with one of these codes, as `ENOENT`. */
export const hasCode = (thrown: unknown, ...codes: readonly string[]): boolean =>
  thrown instanceof Error && "code" in thrown && typeof thrown.code === "string" && codes.includes(thrown.code);

/**
 * For `catch`, where a missing file is an answer.
 * @param more  codes that say the same, as `ENOTDIR`
 * @returns     `none`. @throws what else went wrong
 */
export const ifMissing =
  <T>(none: T, ...more: readonly string[]) =>
  (thrown: unknown): T => {
    if (hasCode(thrown, "ENOENT", ...more)) return none;
    throw thrown;
  };

/** @returns for a full disk, which system calls tell without saying where, `unavailable` with the path; else the error as it is */
export const toldOf = (path: string, error: unknown): unknown =>
  hasCode(error, "ENOSPC", "EDQUOT", "EFBIG")
    ? unavailable(`Cannot write ${path}: ${messageOf(error)}`, { cause: error })
    : error;
