/** What concerns registries: /auth, /images/{name}/push, /images/search, /distribution. Source: Docker Engine API, tags System, Image, Distribution. */

import { Hono } from "hono";
import { invalid } from "../base/errors.ts";
import type { Descriptor, Platform } from "../base/oci.ts";
import { defaultDomain, parseReference, type Reference, withDefaultTag, withTagOrDigest } from "../base/reference.ts";
import { collect } from "../base/streams.ts";
import type { Images } from "../image/images.ts";
import { largestConfig, parseConfig, parseDocument } from "../image/manifest.ts";
import type { Progress } from "../image/progress.ts";
import type { Pushed } from "../image/push.ts";
import type { Access, Found, Registry } from "../registry/registry.ts";
import { type Ctx, type Env, flag, integer, json, jsonBody, param } from "./context.ts";
import { Document } from "./document.ts";
import { type Filters, parseFilters } from "./filters.ts";
import { jsonLines, streamError } from "./jsonl.ts";
import { optionalPlatform } from "./platforms.ts";
import { progressLine, reported } from "./progress.ts";
import { credentialsOf, registryAuth } from "./registry-auth.ts";

const accessOf = (c: Ctx): Access => ({
  credentials: registryAuth(c.req.header("x-registry-auth")),
  signal: c.env.signal,
});

/** Docker Hub is still called by the address of its first API. */
const hubAddresses: readonly string[] = ["", "https://index.docker.io/v1/", "index.docker.io", defaultDomain];

/** @param address  as the CLI has it: a host, or a URL. @returns a reference's domain. @throws invalid */
function domainOf(address: string): string {
  if (hubAddresses.includes(address)) return defaultDomain;
  const url = URL.parse(/^https?:\/\//.test(address) ? address : `https://${address}`);
  if (!url?.host) throw invalid(`invalid registry address: ${JSON.stringify(address.slice(0, 200))}`);
  // The port that goes without saying for URLs does not for names.
  const [, host = url.host] = /^(?:https?:\/\/)?([^/]+)/.exec(address) ?? [];
  return host;
}

async function login(c: Ctx, registry: Registry): Promise<Response> {
  const body = new Document(await jsonBody(c));
  const token = await registry.login(domainOf(body.text("serveraddress")), credentialsOf(body) ?? {}, c.env.signal);
  return json({ Status: "Login Succeeded", IdentityToken: token ?? "" });
}

const aux = ({ tag, digest, size }: Pushed) => ({ progressDetail: {}, aux: { Tag: tag, Digest: digest, Size: size } });

/** `compression` is ours: how every layer shall be compressed. @throws invalid */
function compressionOf(c: Ctx): "gzip" | "zstd" | undefined {
  const text = c.req.query("compression") ?? "";
  if (text === "" || text === "gzip" || text === "zstd") return text || undefined;
  throw invalid(`invalid compression ${JSON.stringify(text)}: want gzip or zstd`);
}

async function push(c: Ctx, images: Images): Promise<Response> {
  const tag = c.req.query("tag") ?? "";
  const bare = parseReference(param(c, "name"));
  const reference = tag === "" ? bare : withTagOrDigest(bare, tag);
  const compression = compressionOf(c);
  const platform = optionalPlatform(c.req.query("platform"));
  const lines = await reported<Progress | Pushed>((report) =>
    images.push(reference, { ...accessOf(c), compression, platform, onProgress: report, onPushed: report }),
  );
  return jsonLines(mapped(lines), "\r\n", streamError);
}

async function* mapped(lines: AsyncIterable<Progress | Pushed>): AsyncGenerator<object> {
  for await (const line of lines) yield "digest" in line ? aux(line) : progressLine(line);
}

const platformOf = ({ os, architecture, variant, "os.version": version }: Platform) => ({
  architecture,
  os,
  ...(version !== undefined && { "os.version": version }),
  ...(variant !== undefined && { variant }),
});

/** An index says its platforms; of a single image the configuration does. `raw`: an extension, the document itself in base64. */
async function inspect(c: Ctx, registry: Registry): Promise<Response> {
  const name = param(c, "name");
  const reference = withDefaultTag(parseReference(name));
  const access = accessOf(c);
  const { descriptor, bytes } = await registry.document(reference, access);
  const document = parseDocument(bytes, descriptor.mediaType);
  const platforms =
    document.kind === "index"
      ? document.index.manifests.flatMap(({ platform }) => platform ?? [])
      : [await configPlatform(registry, reference, document.manifest.config, access)];
  const mediaType = document.kind === "index" ? document.index.mediaType : document.manifest.mediaType;
  return json({
    Descriptor: { ...descriptor, mediaType },
    Platforms: platforms.map(platformOf),
    ...(flag(c, "raw") && { Raw: Buffer.from(bytes).toString("base64") }),
  });
}

async function configPlatform(
  registry: Registry,
  reference: Reference,
  config: Descriptor,
  access: Access,
): Promise<Platform> {
  const { body } = await registry.blob(reference, config, 0, access);
  return parseConfig(await collect(body, largestConfig));
}

const SEARCH_FILTERS = ["is-automated", "is-official", "stars"];

/** @throws invalid for stars that are no number */
function matches(filters: Filters, found: Found): boolean {
  const official = filters.boolean("is-official");
  const automated = filters.boolean("is-automated");
  const stars = filters.get("stars").map((text) => {
    if (/^\d+$/.test(text)) return Number(text);
    throw invalid(`invalid filter 'stars=${text}'`);
  });
  return (
    (official === undefined || found.isOfficial === official) &&
    (automated === undefined || found.isAutomated === automated) &&
    stars.every((least) => found.stars >= least)
  );
}

/** `host/term` asks that host; a first part that is no host belongs to the term. */
function searched(term: string): { readonly domain: string | undefined; readonly words: string } {
  const slash = term.indexOf("/");
  const first = term.slice(0, Math.max(0, slash));
  const isHost = /[.:]/.test(first) || first === "localhost";
  return isHost && !hubAddresses.includes(first)
    ? { domain: first, words: term.slice(slash + 1) }
    : { domain: undefined, words: term.replace(/^(?:index\.)?docker\.io\//, "").replace(/^library\//, "") };
}

async function search(c: Ctx, registry: Registry): Promise<Response> {
  const term = c.req.query("term") ?? "";
  if (/^https?:\/\//.test(term) || term === "") throw invalid(`invalid search term ${JSON.stringify(term)}`);
  const limit = integer(c, "limit") || 25;
  if (limit < 1 || limit > 100) throw invalid(`limit ${limit} is outside the range of [1, 100]`);
  const filters = parseFilters(c.req.query("filters"), SEARCH_FILTERS);
  const { domain, words } = searched(term);
  const found = await registry.search(domain, words, limit, accessOf(c));
  return json(
    found
      .filter((one) => matches(filters, one))
      .map(({ name, description, stars, isOfficial, isAutomated }) => ({
        star_count: stars,
        is_official: isOfficial,
        name,
        is_automated: isAutomated,
        description,
      })),
  );
}

export function registryRouter(images: Images, registry: Registry): Hono<Env> {
  return new Hono<Env>()
    .post("/auth", (c) => login(c, registry))
    .get("/images/search", (c) => search(c, registry))
    .post("/images/:name{.+}/push", (c) => push(c, images))
    .get("/distribution/:name{.+}/json", (c) => inspect(c, registry));
}
