/** The documents that an image came with, as the content store still has them. */

import { type Digest, digestOf } from "../base/digest.ts";
import type { Descriptor, Index, Manifest } from "../base/oci.ts";
import type { Reference } from "../base/reference.ts";
import type { Document } from "../registry/registry.ts";
import type { ContentStore } from "../store/content.ts";
import { largestDocument, parseDocument } from "./manifest.ts";
import type { ImageRecord, ImageRecords } from "./records.ts";

export interface KeptManifest {
  /** With the media type that the document says of itself, or means. */
  readonly descriptor: Descriptor;
  readonly bytes: Uint8Array;
  readonly manifest: Manifest;
}

export interface KeptIndex {
  readonly descriptor: Descriptor;
  readonly bytes: Uint8Array;
  readonly index: Index;
}

export interface KeptDocuments {
  /** Whose configuration is the image. */
  readonly manifests: readonly KeptManifest[];
  /** That lead to one of the manifests. */
  readonly indexes: readonly KeptIndex[];
}

/** What cannot be read, or is not what its digest says, counts as missing: nothing that is needed depends on it. */
async function intact(content: ContentStore, digest: Digest): Promise<Uint8Array | undefined> {
  const blob = await content.find(digest);
  if (!blob || blob.size > largestDocument) return undefined;
  const bytes = await Bun.file(blob.path)
    .bytes()
    .catch(() => undefined);
  return bytes && digestOf(bytes) === digest ? bytes : undefined;
}

function parsed(bytes: Uint8Array): ReturnType<typeof parseDocument> | undefined {
  try {
    return parseDocument(bytes, "");
  } catch {
    return undefined;
  }
}

export interface KeptDocument extends Document {
  /** Of an image, not an index or an artifact. */
  readonly manifest?: Manifest;
}

/** @param mediaType  of a document that does not say it. @returns undefined unless it is here and whole */
export async function keptDocument(
  content: ContentStore,
  digest: Digest,
  mediaType = "",
): Promise<KeptDocument | undefined> {
  const bytes = await intact(content, digest);
  if (!bytes) return undefined;
  const document = parsed(bytes);
  const own = document?.kind === "index" ? document.index.mediaType : document?.manifest.mediaType;
  const descriptor = { mediaType: own ?? mediaType, digest, size: bytes.byteLength };
  return { descriptor, bytes, ...(document?.kind === "manifest" && { manifest: document.manifest }) };
}

/** @returns those documents of an image that are here and whole, by digest */
export async function keptDocuments(
  content: ContentStore,
  records: Pick<ImageRecords, "manifestsOf">,
  id: Digest,
): Promise<KeptDocuments> {
  const manifests: KeptManifest[] = [];
  const indexes: KeptIndex[] = [];
  for (const digest of records.manifestsOf(id)) {
    const bytes = await intact(content, digest);
    const document = bytes && parsed(bytes);
    if (!bytes || !document) continue;
    const size = bytes.byteLength;
    if (document.kind === "index")
      indexes.push({
        descriptor: { mediaType: document.index.mediaType, digest, size },
        bytes,
        index: document.index,
      });
    else if (document.manifest.config.digest === id)
      manifests.push({
        descriptor: { mediaType: document.manifest.mediaType, digest, size },
        bytes,
        manifest: document.manifest,
      });
  }
  return { manifests, indexes };
}

/**
 * @returns the manifests of an image, or its indexes, the one first that the repository is known to have, then those of other repositories, then
 *          those that nobody else has seen yet
 */
export function preferred<T extends Pick<KeptManifest, "descriptor">>(
  documents: readonly T[],
  { references }: Pick<ImageRecord, "references">,
  { domain, path }: Reference,
): readonly T[] {
  const rank = ({ descriptor }: T): number => {
    const known = references.filter(({ digest }) => digest === descriptor.digest);
    if (known.some((one) => one.domain === domain && one.path === path)) return 0;
    return known.length > 0 ? 1 : 2;
  };
  return documents.toSorted((one, other) => rank(one) - rank(other));
}
