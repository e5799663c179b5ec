/**
 * What a name stands for, manifest by manifest: which platforms are here, and what each takes.
 * Source: Docker Engine API 1.50, ImageManifestSummary.
 */

import type { Digest } from "../base/digest.ts";
import { ociConfig } from "../base/media-types.ts";
import type { Descriptor, Platform } from "../base/oci.ts";
import type { ContentStore } from "../store/content.ts";
import { type KeptManifest, keptDocuments } from "./documents.ts";
import type { Lookup } from "./lookup.ts";
import { isAttestation } from "./platform.ts";
import type { ImageRecord, ImageRecords } from "./records.ts";
import type { ImageUser } from "./removal.ts";

export interface ManifestSummary {
  readonly descriptor: Descriptor;
  /** Whether a container can be made from it. */
  readonly available: boolean;
  /** Bytes of its documents and compressed layers that are here. */
  readonly contentBytes: number;
  /** Bytes of its layers, unpacked. */
  readonly unpackedBytes: number;
  readonly kind: "image" | "attestation" | "unknown";
  readonly platform?: Platform;
  /** Ids of the containers that use it. */
  readonly containers: readonly string[];
  /** The manifest that an attestation is about. */
  readonly attests?: string;
}

/** An entry of an index whose image is not here. */
function absent(descriptor: Descriptor): ManifestSummary {
  const nothing = { descriptor, available: false, contentBytes: 0, unpackedBytes: 0, containers: [] };
  if (isAttestation(descriptor)) {
    const attests = descriptor.annotations?.["vnd.docker.reference.digest"];
    return { ...nothing, kind: "attestation", ...(attests !== undefined && { attests }) };
  }
  const { platform } = descriptor;
  return platform ? { ...nothing, kind: "image", platform } : { ...nothing, kind: "unknown" };
}

export class Manifests {
  constructor(
    readonly content: ContentStore,
    readonly records: ImageRecords,
    readonly lookup: Lookup,
    readonly inUse: (imageId: Digest) => readonly ImageUser[],
  ) {}

  /** @param family  images of one name. @returns theirs, then what their indexes list beside them */
  async of(family: readonly ImageRecord[]): Promise<readonly ManifestSummary[]> {
    const found = new Map<Digest, ManifestSummary>();
    const listed: Descriptor[] = [];
    for (const record of family) {
      const { manifests, indexes } = await keptDocuments(this.content, this.records, record.id);
      const [manifest] = manifests;
      const summary = await this.#present(record, manifest);
      found.set(summary.descriptor.digest, summary);
      listed.push(...indexes.flatMap(({ index }) => index.manifests));
    }
    for (const descriptor of listed)
      if (!found.has(descriptor.digest)) found.set(descriptor.digest, absent(descriptor));
    return [...found.values()];
  }

  /** One that was made here has no manifest: its configuration stands for it. */
  async #present(record: ImageRecord, kept: KeptManifest | undefined): Promise<ManifestSummary> {
    const { os, architecture, variant } = await this.lookup.config(record.id);
    const config = await this.content.get(record.id);
    const layers = new Map(record.layers.map(({ diffId, bytes }) => [diffId, bytes]));
    let contentBytes = config.size + (kept?.descriptor.size ?? 0);
    for (const { digest, size } of kept?.manifest.layers ?? [])
      if (await this.content.find(digest)) contentBytes += size;
    return {
      descriptor: kept?.descriptor ?? { mediaType: ociConfig, digest: record.id, size: config.size },
      available: true,
      contentBytes,
      unpackedBytes: [...layers.values()].reduce((sum, bytes) => sum + bytes, 0),
      kind: "image",
      platform: { os, architecture, ...(variant !== undefined && { variant }) },
      containers: this.inUse(record.id).map(({ id }) => id),
    };
  }
}
