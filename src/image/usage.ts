/** What images take on disk: every layer and every blob once, whoever needs it. */

import type { Digest } from "../base/digest.ts";
import type { ContentStore } from "../store/content.ts";
import type { Layers } from "../store/layers.ts";
import type { ImageRecord, ImageRecords } from "./records.ts";

/** Bytes of images as the records know them: unpacked layers, and the compressed ones that are kept beside them. */
export interface Sizes {
  /** All of an image. */
  of(image: ImageRecord): number;
  /** What it shares with other images. */
  shared(image: ImageRecord): number;
}

const layersOf = ({ layers }: ImageRecord): ReadonlySet<Digest> => new Set(layers.map(({ diffId }) => diffId));

export function sizesOf(records: Pick<ImageRecords, "layerUsage">): Sizes {
  const usage = records.layerUsage();
  const sum = (image: ImageRecord, least: number): number => {
    let total = 0;
    for (const diffId of layersOf(image)) {
      const layer = usage.get(diffId);
      if (layer && layer.images >= least) total += layer.bytes + layer.blobBytes;
    }
    return total;
  };
  return { of: (image) => sum(image, 1), shared: (image) => sum(image, 2) };
}

/** @returns bytes of all layers and blobs that are there, whether an image needs them or not */
export async function diskBytes(content: ContentStore, layers: Layers): Promise<number> {
  let total = 0;
  for await (const { size } of content.list()) total += size;
  for await (const diffId of layers.listLayers()) total += await layers.layerBytes(diffId).catch(() => 0); // it has just gone
  return total;
}
