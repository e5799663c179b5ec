/**
 * What a registry's refusal means, in the words of dockerd's pull and push. Source: distribution-spec v1.1, "Error codes"; moby
 * distribution/errors.go; wire-notes section 6.
 */

import { type BosunError, forbidden, invalid, notFound, unavailable } from "../base/errors.ts";
import { isObject } from "../base/objects.ts";
import { familiarName, familiarReference, type Reference } from "../base/reference.ts";
import { collect } from "../base/streams.ts";
import { parseChallenges } from "./challenge.ts";
import { type Answer, failed } from "./transport.ts";

interface Refusal {
  /** As `MANIFEST_UNKNOWN`. */
  readonly code: string;
  readonly message: string;
}

/** What the codes say when the registry adds nothing. */
const defaultMessages: Readonly<Record<string, string>> = {
  DENIED: "requested access to the resource is denied",
  MANIFEST_UNKNOWN: "manifest unknown",
  NAME_UNKNOWN: "repository name not known to registry",
  UNAUTHORIZED: "authentication required",
  TOOMANYREQUESTS: "too many requests",
};

/** An error's body is read so far. */
const longestBody = 64 << 10;

const refusal = (code: string, message?: unknown): Refusal => ({
  code,
  message: typeof message === "string" && message !== "" ? message : (defaultMessages[code] ?? "unknown error"),
});

function parseBody(text: string): Refusal | undefined {
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch {
    return undefined;
  }
  const errors = isObject(body) ? body.errors : undefined;
  const first: unknown = Array.isArray(errors) ? errors[0] : undefined;
  if (!isObject(first) || typeof first.code !== "string") return undefined;
  return refusal(first.code.toUpperCase(), first.message);
}

/** A token that does not reach as far as asked for is how a token server says no. */
function parseHeader(headers: Headers): Refusal | undefined {
  for (const { scheme, parameters } of parseChallenges(headers.get("www-authenticate") ?? "")) {
    if (scheme !== "bearer") continue;
    if (parameters.error === "insufficient_scope") return refusal("DENIED", parameters.error_description);
    if (parameters.error === "invalid_token") return refusal("UNAUTHORIZED", parameters.error_description);
  }
  return undefined;
}

/** HEAD has no body, and some servers answer in HTML: the status says enough. */
function parseStatus(status: number, reference: Reference): Refusal | undefined {
  if (status === 401) return refusal("UNAUTHORIZED");
  if (status === 403) return refusal("DENIED");
  if (status === 429) return refusal("TOOMANYREQUESTS");
  if (status === 404) return refusal(reference.tag || reference.digest ? "MANIFEST_UNKNOWN" : "NAME_UNKNOWN");
  return undefined;
}

/** What dockerd's push says: the registry's words alone. */
function explainedPush({ code, message }: Refusal): BosunError {
  const words = wordsOf({ code, message });
  if (code === "TOOMANYREQUESTS") return unavailable(words);
  return code === "DENIED" || code === "UNAUTHORIZED" ? forbidden(words) : invalid(words);
}

const wordsOf = ({ code, message }: Refusal): string => `${code.toLowerCase().replaceAll("_", " ")}: ${message}`;

function explainedPull({ code, message }: Refusal, reference: Reference): BosunError {
  const words = wordsOf({ code, message });
  const name = familiarName(reference);
  switch (code) {
    case "DENIED":
      return notFound(
        `pull access denied for ${name}, repository does not exist or may require 'docker login': ${words}`,
      );
    case "MANIFEST_UNKNOWN":
      return notFound(`manifest for ${familiarReference(reference)} not found: ${words}`);
    case "NAME_UNKNOWN":
      return notFound(`repository ${name} not found: ${words}`);
    case "BLOB_UNKNOWN":
      return notFound(words);
    case "TOOMANYREQUESTS":
      return unavailable(words);
    case "UNAUTHORIZED":
      // Not `unauthorized`: on HTTP 401 the docker CLI stops to ask for a password, which dockerd never causes here.
      return forbidden(words);
    default:
      return invalid(words);
  }
}

/**
 * Reads what is left of an answer that is not a success.
 * @param reference  what was asked for; named in the message
 * @returns the error to throw
 */
export async function failureOf(
  answer: Answer,
  reference: Reference,
  during: "pull" | "push" = "pull",
): Promise<BosunError> {
  const { status, statusText, headers, request } = answer;
  if (status >= 500) {
    await answer.discard();
    return unavailable(`received unexpected HTTP status: ${status} ${statusText}`);
  }
  const text = await collect(answer.body, longestBody).then(
    (bytes) => new TextDecoder().decode(bytes),
    () => "",
  );
  const found = parseHeader(headers) ?? parseBody(text) ?? parseStatus(status, reference);
  if (!found) return invalid(failed(request, `unexpected HTTP status ${status} ${statusText}`));
  return during === "push" ? explainedPush(found) : explainedPull(found, reference);
}
