/** Archives of images: what `docker save` writes, old and new, and OCI layouts. */

import { json, type Piece, type TarEntry, type TestImage, tarOf } from "../../bench/fixture/image.ts";
import { hexOf } from "../../src/base/digest.ts";

export const streamOf = (bytes: Uint8Array, chunkBytes = bytes.byteLength): ReadableStream<Uint8Array> => {
  let at = 0;
  return new ReadableStream({
    pull(out) {
      if (at >= bytes.byteLength) return out.close();
      out.enqueue(bytes.subarray(at, at + chunkBytes));
      at += chunkBytes;
    },
  });
};

/** `docker save` as of today: manifest.json over files named by digest. */
export function dockerArchive(
  images: readonly { readonly image: TestImage; readonly tags: readonly string[] | null }[],
): Uint8Array {
  const entries: TarEntry[] = [];
  const manifest = images.map(({ image, tags }) => {
    const layers = image.tars.map((content, index) => ({
      name: `${hexOf(image.diffIds[index] ?? "sha256:")}.tar`,
      content,
    }));
    const name = `${hexOf(image.config.descriptor.digest)}.json`;
    entries.push(...layers, { name, content: image.config.bytes });
    return { Config: name, RepoTags: tags, Layers: layers.map((layer) => layer.name) };
  });
  return tarOf(...entries, { name: "manifest.json", content: json(manifest) });
}

const blobEntry = ({ descriptor, bytes }: Piece): TarEntry => ({
  name: `blobs/sha256/${hexOf(descriptor.digest)}`,
  content: bytes,
});

/** An OCI layout. @param entries  what index.json lists, and the pieces that it leads to */
export function layoutArchive(manifests: readonly object[], pieces: readonly Piece[]): Uint8Array {
  return tarOf(
    { name: "oci-layout", content: json({ imageLayoutVersion: "1.0.0" }) },
    { name: "blobs/", type: "5" },
    { name: "blobs/sha256/", type: "5" },
    ...pieces.map(blobEntry),
    { name: "index.json", content: json({ schemaVersion: 2, manifests }) },
  );
}

export const piecesOf = ({ manifest, config, layers }: TestImage): readonly Piece[] => [manifest, config, ...layers];
