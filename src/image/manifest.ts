/**
 * The documents that make an image, read strictly: they come from strangers, and the digest in them is what everything else trusts.
 * Source: OCI image-spec v1.1.1 manifest.md, image-index.md, config.md; Docker image manifest version 2, schema 2.
 */

import { corrupt, invalid } from "../base/errors.ts";
import {
  configTypes,
  indexTypes,
  layerTypes,
  manifestTypes,
  ociIndex,
  ociManifest,
  schema1Types,
} from "../base/media-types.ts";
import type { ImageConfig, Index, Manifest } from "../base/oci.ts";
import { anything, digest, fields, flag, integer, list, natural, parseJson, record, text, words } from "./shape.ts";

/** Bytes of a manifest or index; registries refuse larger ones. */
export const largestDocument = 4 << 20;
/** Bytes of an image configuration. */
export const largestConfig = 8 << 20;
/** Layers of an image: overlayfs stacks no more. Source: fs/overlayfs/params.h, OVL_MAX_STACK. */
const mostLayers = 500;

export type ImageDocument =
  | { readonly kind: "index"; readonly index: Index }
  | { readonly kind: "manifest"; readonly manifest: Manifest };

/** A configuration with the members that only Docker writes. */
export interface StoredConfig extends ImageConfig {
  readonly docker_version?: string;
  readonly comment?: string;
  /** Id and configuration, as an inspect tells it, of the container that the image was committed from. */
  readonly container?: string;
  readonly container_config?: object;
}

const platform = fields({ os: text, architecture: text, variant: text, "os.version": text }, ["os", "architecture"]);
export const descriptor = fields(
  { mediaType: text, digest, size: natural, urls: list(text), annotations: record(text), platform },
  ["mediaType", "digest", "size"],
);
const document = fields(
  {
    schemaVersion: integer,
    mediaType: text,
    config: descriptor,
    layers: list(descriptor),
    manifests: list(descriptor),
    annotations: record(text),
  },
  ["schemaVersion"],
);

const healthcheck = fields({
  Test: words,
  Interval: integer,
  Timeout: integer,
  StartPeriod: integer,
  StartInterval: integer,
  Retries: integer,
});
const runConfig = fields({
  User: text,
  ExposedPorts: record(anything),
  Env: list(text),
  Entrypoint: words,
  Cmd: words,
  Volumes: record(anything),
  WorkingDir: text,
  Labels: record(text),
  StopSignal: text,
  StopTimeout: integer,
  Shell: words,
  Healthcheck: healthcheck,
  ArgsEscaped: flag,
  OnBuild: list(text),
});
const config = fields(
  {
    os: text,
    architecture: text,
    variant: text,
    "os.version": text,
    created: text,
    author: text,
    comment: text,
    docker_version: text,
    container: text,
    container_config: anything,
    config: runConfig,
    rootfs: fields({ type: text, diff_ids: list(digest) }, ["type"]),
    history: list(fields({ created: text, created_by: text, author: text, comment: text, empty_layer: flag })),
  },
  ["os", "architecture", "rootfs"],
);

/**
 * The kind of a document: its own word, else the transport's, else told by its members. The two words must not differ, and a document
 * with the members of both kinds is refused, as different readers would see different images in it (CVE-2021-41190).
 */
function mediaTypeOf(found: ReturnType<typeof document>, sent: string): string {
  const known = [...indexTypes, ...manifestTypes];
  const own = found.mediaType;
  if (own !== undefined && own !== sent && known.includes(sent))
    throw corrupt(`Cannot read the manifest: it says ${own}, and was sent as ${sent}`);
  if (found.manifests && (found.layers || found.config))
    throw corrupt("Cannot read the manifest: it has both `manifests` and `layers`");
  const type = own ?? (known.includes(sent) ? sent : found.manifests ? ociIndex : ociManifest);
  if (!known.includes(type)) throw invalid(`unsupported manifest media type ${JSON.stringify(type.slice(0, 200))}`);
  return type;
}

/**
 * @param sent  the media type that came with it, from a header or descriptor; may be empty
 * @throws      corrupt, or invalid for what this engine does not run: schema 1, artifacts that are no images
 */
export function parseDocument(bytes: Uint8Array, sent: string): ImageDocument {
  const found = parseJson(bytes, "manifest", largestDocument, document);
  if (found.schemaVersion === 1 || schema1Types.includes(found.mediaType ?? sent))
    throw invalid("image manifest version 2, schema 1 is not supported: push the image again with a current tool");
  if (found.schemaVersion !== 2)
    throw corrupt(`Cannot read the manifest: schemaVersion ${found.schemaVersion}, want 2`);
  const mediaType = mediaTypeOf(found, sent);
  if (indexTypes.includes(mediaType)) {
    if (!found.manifests) throw corrupt("Cannot read the index: it has no `manifests`");
    return { kind: "index", index: { schemaVersion: 2, mediaType, manifests: found.manifests } };
  }
  if (!found.config || !found.layers) throw corrupt("Cannot read the manifest: it has no `config` or no `layers`");
  if (!configTypes.includes(found.config.mediaType))
    throw invalid(`Encountered remote ${JSON.stringify(found.config.mediaType.slice(0, 200))}(unknown) when fetching`);
  const foreign = found.layers.find((layer) => !layerTypes.includes(layer.mediaType));
  if (foreign) throw invalid(`unsupported layer media type ${JSON.stringify(foreign.mediaType.slice(0, 200))}`);
  if (found.layers.length > mostLayers)
    throw invalid(`the image has ${found.layers.length} layers, want at most ${mostLayers}`);
  const { config, layers, annotations } = found;
  return {
    kind: "manifest",
    manifest: { schemaVersion: 2, mediaType, config, layers, ...(annotations && { annotations }) },
  };
}

/** @throws corrupt */
export function parseConfig(bytes: Uint8Array): StoredConfig {
  const { rootfs, ...rest } = parseJson(bytes, "image configuration", largestConfig, config);
  if (rootfs.type !== "layers") throw corrupt("Cannot read the image configuration: rootfs.type is not `layers`");
  if ((rootfs.diff_ids?.length ?? 0) > mostLayers) throw invalid(`the image has more than ${mostLayers} layers`);
  return { ...rest, rootfs: { type: "layers", diff_ids: rootfs.diff_ids ?? [] } };
}
