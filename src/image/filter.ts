/** Which images a list shows. Source: Engine API, `GET /images/json`, "filters". */

import { invalid } from "../base/errors.ts";
import { matchesReference, type Reference } from "../base/reference.ts";

export interface ImageFilters {
  /** Only images with no tag, or only those that some reference names. */
  readonly dangling?: boolean;
  /** `key` or `key=value`; all of them apply. */
  readonly labels?: readonly string[];
  /** Patterns; one has to match. Only the references that match are shown. */
  readonly references?: readonly string[];
  /** Created before the image of this name. */
  readonly before?: string;
  /** Created after the image of this name. */
  readonly since?: string;
  /** Created before this time. */
  readonly until?: Date;
}

/** What filters look at. */
export interface Candidate {
  readonly labels: Readonly<Record<string, string>>;
  /** Seconds since 1970. */
  readonly created: number;
  readonly references: readonly Reference[];
}

/** @param time  RFC 3339. @returns seconds since 1970; 0 for none */
export const secondsOf = (time: string | undefined): number => {
  const parsed = Date.parse(time ?? "");
  return Number.isNaN(parsed) ? 0 : Math.floor(parsed / 1000);
};

/** @param wanted  `key` or `key=value` */
export const hasLabel = (labels: Candidate["labels"], wanted: string): boolean => {
  const equals = wanted.indexOf("=");
  const key = equals < 0 ? wanted : wanted.slice(0, equals);
  return Object.hasOwn(labels, key) && (equals < 0 || labels[key] === wanted.slice(equals + 1));
};

/**
 * @param createdOf  creation time of a named image, seconds. @throws notFound
 * @returns          the references to show of an image that passes; undefined for one that does not
 * @throws           notFound, or invalid for a malformed pattern, before any image is looked at
 */
export async function imageFilter(
  filters: ImageFilters,
  createdOf: (name: string) => Promise<number>,
): Promise<(image: Candidate) => readonly Reference[] | undefined> {
  const { dangling, labels = [], references: patterns = [], until } = filters;
  for (const pattern of patterns) matchesReference(pattern, { domain: "docker.io", path: "library/x" });
  if (until && Number.isNaN(until.getTime())) throw invalid("invalid filter 'until'");
  const before = filters.before === undefined ? Number.POSITIVE_INFINITY : await createdOf(filters.before);
  const since = filters.since === undefined ? Number.NEGATIVE_INFINITY : await createdOf(filters.since);
  const end = Math.min(before, until ? until.getTime() / 1000 : Number.POSITIVE_INFINITY);
  return ({ labels: own, created, references }) => {
    if (created >= end || created <= since || !labels.every((label) => hasLabel(own, label))) return undefined;
    const shown = references.filter((one) => patterns.length === 0 || patterns.some((p) => matchesReference(p, one)));
    if (patterns.length > 0 && shown.length === 0) return undefined;
    const isTagged = shown.some(({ digest }) => digest === undefined);
    if (dangling === true && isTagged) return undefined;
    if (dangling === false && shown.length === 0) return undefined;
    return shown;
  };
}
