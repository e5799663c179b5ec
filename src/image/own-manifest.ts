/** Manifests that this engine writes, for images that have none of which all blobs are there. */

import { digestOf } from "../base/digest.ts";
import type { Descriptor } from "../base/oci.ts";
import { bytesOf } from "../base/streams.ts";
import type { Document } from "../registry/registry.ts";
import type { ContentStore } from "../store/content.ts";
import { configType, type Family, inFamily, manifestType } from "./layer-types.ts";
import type { ImageRecord, ImageRecords } from "./records.ts";
import type { Sweeper } from "./sweep.ts";

export interface ManifestParts {
  readonly family: Family;
  /** Bottom first. */
  readonly layers: readonly Descriptor[];
  readonly annotations?: Readonly<Record<string, string>>;
}

/** The same parts give the same bytes. It is kept with the image, so that the image is found under it. @throws notFound, unavailable */
export async function ownManifest(
  stores: { readonly content: ContentStore; readonly records: ImageRecords; readonly sweeper: Sweeper },
  image: ImageRecord,
  { family, layers, annotations }: ManifestParts,
): Promise<Document> {
  const { content, records, sweeper } = stores;
  const { size } = await content.get(image.id);
  const mediaType = manifestType(family);
  const document = {
    schemaVersion: 2,
    mediaType,
    config: { mediaType: configType(family), digest: image.id, size },
    layers: layers.map((layer) => inFamily(family, layer)),
    ...(annotations && { annotations }),
  };
  const bytes = new TextEncoder().encode(JSON.stringify(document));
  const descriptor = { mediaType, digest: digestOf(bytes), size: bytes.byteLength };
  using _ = await sweeper.hold({ blobs: [descriptor.digest] });
  await content.put(descriptor, async () => ({ start: 0, body: bytesOf(bytes) }));
  records.put({ ...image, manifests: [descriptor.digest], references: [] });
  return { descriptor, bytes };
}
