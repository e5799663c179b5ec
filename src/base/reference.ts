/**
 * Names of images: `[domain/]path[:tag][@digest]`, as people write them and as they are meant. `busybox` means
 * `docker.io/library/busybox:latest`; the short form is called *familiar*.
 * Source: github.com/distribution/reference, reference.go (grammar) and normalize.go; the messages are Docker's, clients match on them.
 */

import { type Digest, isDigest, parseDigest } from "./digest.ts";
import { invalid } from "./errors.ts";
import { matchesGlob } from "./glob.ts";

export interface Reference {
  /** `docker.io`, `localhost:5000`, `[::1]:5000`. */
  readonly domain: string;
  /** Below the domain, as `library/busybox`. Lower case. */
  readonly path: string;
  readonly tag?: string;
  readonly digest?: Digest;
}

export const defaultDomain = "docker.io";
const legacyDomain = "index.docker.io";
const officialPrefix = "library/";
/** Most characters of a path. */
const longestPath = 255;
/** Longer texts are refused unread: domain 255 and port, path, tag 128, digest, and their separators fit well. */
const longestText = 1024;

const label = "[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?";
const host = String.raw`(?:${label}(?:\.${label})*|\[[a-fA-F0-9:]+\])`;
const domain = `${host}(?::[0-9]+)?`;
const component = "[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*";
const path = `${component}(?:/${component})*`;
const tag = "[a-zA-Z0-9_][a-zA-Z0-9_.-]{0,127}";
const digest = `[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}`;
const REFERENCE = new RegExp(`^(?<domain>${domain})/(?<path>${path})(?::(?<tag>${tag}))?(?:@(?<digest>${digest}))?$`);
const HEX_ID = /^[0-9a-f]{64}$/;
const TAG = new RegExp(`^${tag}$`);

/** The first component is a host when it looks like one: a dot, a port, `localhost`, or upper case, which no path has. */
function splitDomain(name: string): readonly [domain: string, remainder: string] {
  const slash = name.indexOf("/");
  const first = name.slice(0, Math.max(slash, 0));
  const isHost = slash >= 0 && (/[.:]/.test(first) || first === "localhost" || first.toLowerCase() !== first);
  const given = isHost ? first : defaultDomain;
  const remainder = isHost ? name.slice(slash + 1) : name;
  const actual = given === legacyDomain ? defaultDomain : given;
  return [actual, actual === defaultDomain && !remainder.includes("/") ? officialPrefix + remainder : remainder];
}

/**
 * @returns the normalised name; without a tag when none was written
 * @throws  invalid, in Docker's words
 */
export function parseReference(text: string): Reference {
  if (HEX_ID.test(text)) throw invalid(`invalid repository name (${text}), cannot specify 64-byte hexadecimal strings`);
  if (text.length > longestText) throw invalid("invalid reference format");
  const [domain, remainder] = splitDomain(text);
  const remote = remainder.split(":", 1)[0] ?? "";
  if (remote.toLowerCase() !== remote)
    throw invalid(`invalid reference format: repository name (${remote}) must be lowercase`);
  const found = REFERENCE.exec(`${domain}/${remainder}`)?.groups;
  if (!found?.path) throw invalid("invalid reference format");
  if (found.path.length > longestPath) throw invalid(`repository name must not be more than ${longestPath} characters`);
  return {
    domain,
    path: found.path,
    ...(found.tag !== undefined && { tag: found.tag }),
    ...(found.digest !== undefined && { digest: parseDigest(found.digest) }),
  };
}

/** @returns what `text` names: an image id when it is one in full, else a reference. @throws invalid */
export function parseIdOrReference(text: string): { readonly id: Digest } | { readonly reference: Reference } {
  if (isDigest(text)) return { id: text };
  if (HEX_ID.test(text)) return { id: parseDigest(`sha256:${text}`) };
  return { reference: parseReference(text) };
}

/**
 * Joins what the API hands over in two parameters.
 * @param tag  a tag, a digest, or empty
 * @throws     invalid
 */
export function withTagOrDigest(reference: Reference, tag: string): Reference {
  if (tag === "") return reference;
  const { domain, path } = reference;
  if (tag.includes(":")) return { domain, path, digest: parseDigest(tag) };
  if (!TAG.test(tag)) throw invalid("invalid tag format");
  return { domain, path, tag };
}

/** @returns the reference with `:latest` when it says neither tag nor digest. */
export const withDefaultTag = (reference: Reference): Reference =>
  reference.tag === undefined && reference.digest === undefined ? { ...reference, tag: "latest" } : reference;

const suffixOf = ({ tag, digest }: Reference): string =>
  (tag === undefined ? "" : `:${tag}`) + (digest === undefined ? "" : `@${digest}`);

/** @returns `docker.io/library/busybox:latest`: equal for equal references. */
export const formatReference = (reference: Reference): string =>
  `${reference.domain}/${reference.path}${suffixOf(reference)}`;

/** @returns `docker.io/library/busybox`. */
export const repositoryOf = ({ domain, path }: Reference): string => `${domain}/${path}`;

/** @returns the repository as people write it: `busybox`, `someone/app`, `localhost:5000/app`. */
export function familiarName({ domain, path }: Reference): string {
  if (domain !== defaultDomain) return `${domain}/${path}`;
  const rest = path.startsWith(officialPrefix) ? path.slice(officialPrefix.length) : path;
  return rest.includes("/") ? path : rest;
}

/** @returns the reference as people write it: `busybox:latest`. */
export const familiarReference = (reference: Reference): string => familiarName(reference) + suffixOf(reference);

/** @returns whether a pattern, as of `--filter reference=`, describes the familiar reference or its name. @throws invalid */
export const matchesReference = (pattern: string, reference: Reference): boolean =>
  matchesGlob(pattern, familiarReference(reference)) || matchesGlob(pattern, familiarName(reference));
