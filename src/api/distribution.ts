/**
 * /v2/: this engine's images as a registry, to read and to write. Source: OCI distribution-spec v1.1; the catalogue is Docker's own.
 */

import { Hono } from "hono";
import { type Digest, isDigest } from "../base/digest.ts";
import { ociIndex } from "../base/media-types.ts";
import { familiarName, type Reference } from "../base/reference.ts";
import { bytesOf, collect } from "../base/streams.ts";
import { blobBody } from "../image/blob-body.ts";
import { largestDocument } from "../image/manifest.ts";
import { ProtocolError } from "../image/protocol-error.ts";
import type { Receiver } from "../image/receive.ts";
import { type Repositories, repositoryNamed } from "../image/repositories.ts";
import type { Piece, Uploads } from "../image/uploads.ts";
import type { Ctx, Env } from "./context.ts";
import { protocolError, refusal } from "./distribution-errors.ts";
import { page, rangeOf } from "./distribution-ranges.ts";

export interface Served {
  readonly repositories: Repositories;
  readonly receiver: Receiver;
  readonly uploads: Uploads;
}

/** What a request is about. */
interface Asked {
  /** As the client spelt it; Locations repeat it. */
  readonly name: string;
  readonly repository: Reference;
  /** What stands at the end of the path: a tag, a digest, an upload's id. */
  readonly rest: string;
}

type Handler = (c: Ctx, served: Served, asked: Asked) => Response | Promise<Response>;
type Methods = Readonly<Partial<Record<"GET" | "POST" | "PUT" | "PATCH" | "DELETE", Handler>>>;

const TAG = /^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$/;

function digestIn(text: string): Digest {
  if (isDigest(text)) return text;
  throw new ProtocolError(
    "DIGEST_INVALID",
    `invalid digest ${JSON.stringify(text.slice(0, 100))}: want sha256:<64 hex digits>`,
  );
}

function referenceIn({ repository, rest }: Asked): Reference {
  if (rest.includes(":")) return { ...repository, digest: digestIn(rest) };
  if (!TAG.test(rest)) throw new ProtocolError("MANIFEST_INVALID", `invalid tag ${JSON.stringify(rest.slice(0, 200))}`);
  return { ...repository, tag: rest };
}

const json = (value: unknown, headers: Readonly<Record<string, string>> = {}): Response => {
  const body = Buffer.from(JSON.stringify(value));
  return new Response(body, {
    headers: { "Content-Type": "application/json", "Content-Length": String(body.byteLength), ...headers },
  });
};

const empty = (status: number, headers: Readonly<Record<string, string>> = {}): Response =>
  new Response(null, { status, headers: { ...(status !== 204 && { "Content-Length": "0" }), ...headers } });

const bodyOf = (c: Ctx) => c.req.raw.body ?? bytesOf();

// Reading.

const getCatalog: Handler = (c, { repositories }) => {
  const { items, link } = page(c, repositories.catalog(), "/v2/_catalog");
  return json({ repositories: items }, link);
};

const getTags: Handler = (c, { repositories }, { name, repository }) => {
  const { items, link } = page(c, repositories.tags(repository), `/v2/${name}/tags/list`);
  return json({ name, tags: items }, link);
};

const getManifest: Handler = async (c, { repositories }, asked) => {
  const { descriptor, bytes } = await repositories.manifest(referenceIn(asked));
  const headers = {
    "Content-Type": descriptor.mediaType,
    "Content-Length": String(descriptor.size),
    "Docker-Content-Digest": descriptor.digest,
    Etag: `"${descriptor.digest}"`,
  };
  return new Response(c.req.method === "HEAD" ? null : new Uint8Array(bytes), { headers });
};

const getBlob: Handler = async (c, { repositories }, { rest }) => {
  const digest = digestIn(rest);
  const { path, size } = await repositories.blob(digest);
  const range = rangeOf(c.req.header("range"), size);
  const common = {
    "Content-Type": "application/octet-stream",
    "Docker-Content-Digest": digest,
    "Accept-Ranges": "bytes",
    Etag: `"${digest}"`,
  };
  if (range === "unsatisfiable") return empty(416, { "Content-Range": `bytes */${size}` });
  const { start, end } = range ?? { start: 0, end: size };
  const headers = {
    ...common,
    "Content-Length": String(end - start),
    ...(range && { "Content-Range": `bytes ${start}-${end - 1}/${size}` }),
  };
  const isHead = c.req.method === "HEAD";
  const body = isHead
    ? null
    : blobBody(path, { digest, size }, { start, end, onDamaged: () => repositories.drop(digest) });
  return new Response(body, { status: range ? 206 : 200, headers });
};

const getReferrers: Handler = async (c, { repositories }, { repository, rest }) => {
  const wanted = c.req.query("artifactType");
  const all = await repositories.referrers(repository, digestIn(rest));
  const manifests = wanted === undefined ? all : all.filter(({ artifactType }) => artifactType === wanted);
  return json(
    { schemaVersion: 2, mediaType: ociIndex, manifests },
    { "Content-Type": ociIndex, ...(wanted !== undefined && { "OCI-Filters-Applied": "artifactType" }) },
  );
};

// Writing.

const putManifest: Handler = async (c, { receiver }, asked) => {
  const reference = referenceIn(asked);
  const bytes = await collect(bodyOf(c), largestDocument).catch((cause: unknown) => {
    throw new ProtocolError("SIZE_INVALID", `the manifest has more than ${largestDocument} bytes`, { cause });
  });
  const sent = c.req.header("content-type")?.split(";", 1)[0]?.trim() ?? "";
  const { digest, subject } = await receiver.put(reference, bytes, sent);
  return empty(201, {
    Location: `/v2/${asked.name}/manifests/${digest}`,
    "Docker-Content-Digest": digest,
    ...(subject !== undefined && { "OCI-Subject": subject }),
  });
};

const deleteManifest: Handler = async (_c, { repositories }, asked) => {
  await repositories.remove(referenceIn(asked));
  return empty(202);
};

const deleteBlob: Handler = async (_c, { repositories }, { rest }) => {
  await repositories.removeBlob(digestIn(rest));
  return empty(202);
};

const blobCreated = (name: string, digest: Digest): Response =>
  empty(201, { Location: `/v2/${name}/blobs/${digest}`, "Docker-Content-Digest": digest });

const uploadState = (status: number, name: string, id: string, size: number): Response =>
  empty(status, {
    Location: `/v2/${name}/blobs/uploads/${id}`,
    Range: `0-${Math.max(0, size - 1)}`,
    "Docker-Upload-UUID": id,
  });

/** `start-end`, both included; no `bytes` before it, though some clients write that. @throws ProtocolError */
function pieceOf(c: Ctx): Piece {
  const range = c.req.header("content-range");
  const length = c.req.header("content-length");
  const sized = length !== undefined && /^\d+$/.test(length) ? { length: Number(length) } : {};
  if (range === undefined) return sized;
  const [, first, last] = /^(?:bytes[ =])?(\d+)-(\d+)(?:\/(?:\d+|\*))?$/.exec(range) ?? [];
  const [start, end] = [Number(first), Number(last) + 1];
  if (first === undefined || start >= end)
    throw new ProtocolError("BLOB_UPLOAD_INVALID", `invalid Content-Range ${range}`);
  return { start, length: end - start };
}

/** The whole blob in one request, a blob of another repository, or the beginning of an upload. */
const postUpload: Handler = async (c, { uploads, repositories }, { name, repository }) => {
  const own = familiarName(repository);
  const mount = c.req.query("mount");
  if (mount !== undefined && (await repositories.has(digestIn(mount)))) {
    uploads.lease(digestIn(mount));
    return blobCreated(name, digestIn(mount));
  }
  const digest = c.req.query("digest");
  const id = await uploads.begin(own);
  if (digest === undefined) return uploadState(202, name, id, 0);
  try {
    await uploads.append(own, id, bodyOf(c), pieceOf(c));
    return blobCreated(name, await uploads.finish(own, id, digest));
  } catch (error) {
    await uploads.cancel(own, id).catch(() => {}); // it ended with the failure
    throw error;
  }
};

const getUpload: Handler = (_c, { uploads }, { name, repository, rest }) =>
  uploadState(204, name, rest, uploads.size(familiarName(repository), rest));

const patchUpload: Handler = async (c, { uploads }, { name, repository, rest }) => {
  const size = await uploads.append(familiarName(repository), rest, bodyOf(c), pieceOf(c));
  return uploadState(202, name, rest, size);
};

/** It may bring the last piece. */
const putUpload: Handler = async (c, { uploads }, { name, repository, rest }) => {
  const own = familiarName(repository);
  const digest = digestIn(c.req.query("digest") ?? "");
  await uploads.append(own, rest, bodyOf(c), pieceOf(c));
  return blobCreated(name, await uploads.finish(own, rest, digest));
};

const deleteUpload: Handler = async (_c, { uploads }, { repository, rest }) => {
  await uploads.cancel(familiarName(repository), rest);
  return empty(204);
};

/** In order: names have slashes, so that the first that fits counts. */
const ROUTES: readonly (readonly [pattern: RegExp, methods: Methods])[] = [
  [/^(.+)\/blobs\/uploads\/?$/, { POST: postUpload }],
  [/^(.+)\/blobs\/uploads\/([^/]+)$/, { GET: getUpload, PATCH: patchUpload, PUT: putUpload, DELETE: deleteUpload }],
  [/^(.+)\/blobs\/([^/]+)$/, { GET: getBlob, DELETE: deleteBlob }],
  [/^(.+)\/manifests\/([^/]+)$/, { GET: getManifest, PUT: putManifest, DELETE: deleteManifest }],
  [/^(.+)\/tags\/list$/, { GET: getTags }],
  [/^(.+)\/referrers\/([^/]+)$/, { GET: getReferrers }],
];

const isMethod = (text: string): text is keyof Methods => ["GET", "POST", "PUT", "PATCH", "DELETE"].includes(text);

async function answer(c: Ctx, served: Served): Promise<Response> {
  const path = decodeURIComponent(new URL(c.req.url).pathname.replace(/^\/v2\/?/, ""));
  const method = c.req.method === "HEAD" ? "GET" : c.req.method;
  if (path === "" && method === "GET") return json({});
  if (path === "_catalog" && method === "GET")
    return getCatalog(c, served, { name: "", repository: { domain: "", path: "" }, rest: "" });
  for (const [pattern, methods] of ROUTES) {
    const [, name, rest = ""] = pattern.exec(path) ?? [];
    if (name === undefined) continue;
    const handler = isMethod(method) ? methods[method] : undefined;
    if (!handler) return refusal(405, "UNSUPPORTED", "The operation is unsupported.");
    return handler(c, served, { name, repository: repositoryNamed(name), rest });
  }
  return refusal(404, "UNSUPPORTED", "There is nothing here.");
}

export function distributionRouter(served: Served): Hono<Env> {
  const handle = async (c: Ctx): Promise<Response> => {
    const response = await answer(c, served).catch(protocolError);
    response.headers.set("Docker-Distribution-Api-Version", "registry/2.0");
    return response;
  };
  return new Hono<Env>().all("/v2", handle).all("/v2/*", handle);
}
