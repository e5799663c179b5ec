/** How layers are called in the two families of manifests: Docker's schema 2, and OCI's, which says the same in other words. */

import { dockerConfig, dockerManifest, layerTypes, ociConfig, ociLayer, ociManifest } from "../base/media-types.ts";
import type { Descriptor } from "../base/oci.ts";
import type { CompressionMethod } from "../wasm/compress.ts";

export type Family = "docker" | "oci";
export type LayerMethod = CompressionMethod | "none";

const dockerLayer = "application/vnd.docker.image.rootfs.diff.tar";

const types: Readonly<Record<Family, Readonly<Record<LayerMethod, string>>>> = {
  oci: { none: ociLayer, gzip: `${ociLayer}+gzip`, zstd: `${ociLayer}+zstd` },
  docker: { none: dockerLayer, gzip: `${dockerLayer}.gzip`, zstd: `${dockerLayer}.zstd` },
};

export const manifestType = (family: Family): string => (family === "oci" ? ociManifest : dockerManifest);
export const configType = (family: Family): string => (family === "oci" ? ociConfig : dockerConfig);
export const layerType = (family: Family, method: LayerMethod): string => types[family][method];

export const familyOf = (manifestMediaType: string): Family =>
  manifestMediaType === dockerManifest ? "docker" : "oci";

/** @returns how a layer of this type is compressed, by its name alone */
export const methodOf = (mediaType: string): LayerMethod =>
  /[.+]gzip$/.test(mediaType) ? "gzip" : /[.+]zstd$/.test(mediaType) ? "zstd" : "none";

/** Layers that must not be pushed: who may have them fetches them from their own `urls`. */
export const isForeign = ({ mediaType }: Descriptor): boolean =>
  layerTypes.includes(mediaType) && /\.(nondistributable|foreign)\./.test(mediaType);

/** @returns the same layer in a family's words */
export const inFamily = (family: Family, descriptor: Descriptor): Descriptor => ({
  ...descriptor,
  mediaType: isForeign(descriptor) ? descriptor.mediaType : layerType(family, methodOf(descriptor.mediaType)),
});
