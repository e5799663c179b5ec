/** Images as clients see them. Projections only; nothing is decided here. Source: Docker Engine API 1.50, ImageSummary, ImageInspect. */

import type { Descriptor } from "../base/oci.ts";
import type { ManifestSummary } from "../image/manifests.ts";
import type { HistoryLine, ImageDetails, ImageSummary } from "../image/views.ts";
import { type ApiVersion, apiVersion } from "./context.ts";
import { imageGraph } from "./graph.ts";

export interface SummaryOptions {
  readonly version: ApiVersion;
  /** Whether bytes shared with other images were asked for. */
  readonly sharedSize?: boolean;
  /** Whether containers are counted for clients that do not expect it. */
  readonly containers?: boolean;
}

const wireDescriptor = ({ mediaType, digest, size, urls, annotations, platform }: Descriptor) => ({
  mediaType,
  digest,
  size,
  ...(urls && { urls }),
  ...(annotations && { annotations }),
  ...(platform && { platform }),
});

function wireManifest(manifest: ManifestSummary) {
  const { descriptor, available, contentBytes, unpackedBytes, kind, platform, containers, attests } = manifest;
  return {
    ID: descriptor.digest,
    Descriptor: wireDescriptor(descriptor),
    Available: available,
    Size: { Content: contentBytes, Total: contentBytes + unpackedBytes },
    Kind: kind,
    ...(kind === "image" && {
      ImageData: { Platform: platform, Containers: containers, Size: { Unpacked: unpackedBytes } },
    }),
    ...(kind === "attestation" && { AttestationData: { For: attests ?? "" } }),
  };
}

const multiPlatform = (
  { manifests, descriptor }: Pick<ImageSummary, "manifests" | "descriptor">,
  version: ApiVersion,
) => ({
  ...(descriptor && version >= apiVersion(1, 48) && { Descriptor: wireDescriptor(descriptor) }),
  ...(manifests && { Manifests: manifests.map(wireManifest) }),
});

export function summary(image: ImageSummary, { version, sharedSize = false, containers = false }: SummaryOptions) {
  const { id, repoTags, repoDigests, created, size, labels } = image;
  const dangling = repoTags.length === 0 && version < apiVersion(1, 43);
  return {
    Containers: containers || version >= apiVersion(1, 51) ? image.containers : -1,
    Created: created,
    Id: id,
    Labels: Object.keys(labels).length > 0 ? labels : null,
    ParentId: image.parent ?? "",
    RepoDigests: dangling && repoDigests.length === 0 ? ["<none>@<none>"] : repoDigests,
    RepoTags: dangling ? ["<none>:<none>"] : repoTags,
    SharedSize: sharedSize ? image.sharedSize : -1,
    Size: size,
    ...(version < apiVersion(1, 44) && { VirtualSize: size }),
    ...multiPlatform(image, version),
  };
}

/** What only containers have; older clients find it in images, too, as in containers that say nothing. */
const CONTAINERS_ONLY = {
  ...{ Hostname: "", Domainname: "", AttachStdin: false, AttachStdout: false, AttachStderr: false, Tty: false },
  ...{ OpenStdin: false, StdinOnce: false, Image: "" },
};

/** What a configuration does not say is shown all the same. */
const NO_CONFIG = {
  ...{ User: "", Env: null, Entrypoint: null, Cmd: null, Volumes: null, WorkingDir: "", Labels: null, OnBuild: null },
};

/** Compose's first version fails without a ContainerConfig when it makes a container anew. */
const committedFrom = ({ container, container_config }: ImageDetails["config"]) => ({
  ...(container && { Container: container }),
  ContainerConfig: { ...CONTAINERS_ONLY, ...NO_CONFIG, ...container_config },
});

export function details(image: ImageDetails, version: ApiVersion) {
  const { id, config, layers, repoTags, repoDigests, size, driver, taggedAt } = image;
  const comment = config.comment || config.history?.at(-1)?.comment || "";
  return {
    Id: id,
    RepoTags: repoTags,
    RepoDigests: repoDigests,
    Parent: image.parent ?? "",
    Comment: comment,
    ...(config.created !== undefined && { Created: config.created }),
    DockerVersion: config.docker_version ?? "",
    Author: config.author ?? "",
    Config: { ...(version < apiVersion(1, 50) && CONTAINERS_ONLY), ...NO_CONFIG, ...config.config },
    ...(version < apiVersion(1, 45) && committedFrom(config)),
    Architecture: config.architecture,
    ...(config.variant !== undefined && { Variant: config.variant }),
    Os: config.os,
    Size: size,
    ...(version < apiVersion(1, 44) && { VirtualSize: size }),
    GraphDriver: { Name: driver, Data: imageGraph(image.directories) },
    RootFS: { Type: "layers", Layers: layers },
    Metadata: { LastTagTime: taggedAt?.toISOString() ?? "0001-01-01T00:00:00Z" },
    ...multiPlatform(image, version),
  };
}

export const historyLine = ({ id, created, createdBy, comment, size, tags }: HistoryLine) => ({
  Comment: comment,
  Created: created,
  CreatedBy: createdBy,
  Id: id ?? "<missing>",
  Size: size,
  Tags: tags.length > 0 ? tags : null,
});
