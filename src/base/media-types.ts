/** Media types of image documents and layers. Source: OCI image-spec v1.1, media-types.md; Docker image manifest version 2, schema 2. */

export const ociIndex = "application/vnd.oci.image.index.v1+json";
export const ociManifest = "application/vnd.oci.image.manifest.v1+json";
export const ociConfig = "application/vnd.oci.image.config.v1+json";
export const ociLayer = "application/vnd.oci.image.layer.v1.tar";
export const dockerIndex = "application/vnd.docker.distribution.manifest.list.v2+json";
export const dockerManifest = "application/vnd.docker.distribution.manifest.v2+json";
export const dockerConfig = "application/vnd.docker.container.image.v1+json";

/** Schema 1, which is no longer read: it has no configuration, and its signatures prove nothing. */
export const schema1Types: readonly string[] = [
  "application/vnd.docker.distribution.manifest.v1+json",
  "application/vnd.docker.distribution.manifest.v1+prettyjws",
];

export const indexTypes: readonly string[] = [ociIndex, dockerIndex];
export const manifestTypes: readonly string[] = [ociManifest, dockerManifest];
export const documentTypes: readonly string[] = [...indexTypes, ...manifestTypes];
export const configTypes: readonly string[] = [ociConfig, dockerConfig];

/** Tar archives, plain or compressed; which of them is told by the bytes. Non-distributable ("foreign") layers are fetched like others. */
export const layerTypes: readonly string[] = [
  ociLayer,
  `${ociLayer}+gzip`,
  `${ociLayer}+zstd`,
  "application/vnd.oci.image.layer.nondistributable.v1.tar",
  "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
  "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd",
  "application/vnd.docker.image.rootfs.diff.tar",
  "application/vnd.docker.image.rootfs.diff.tar.gzip",
  "application/vnd.docker.image.rootfs.diff.tar.zstd",
  "application/vnd.docker.image.rootfs.foreign.diff.tar",
  "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
];
