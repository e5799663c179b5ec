/**
 * What an archive of images says of them, in two languages: index.json of an OCI layout, and Docker's manifest.json over the same blobs.
 *
 * A tag whose image came in an index is listed by that index, as containerd lists it, even when it names platforms that are not here: so the name
 * keeps its digest, and all of its platforms that are.
 * Source: OCI image-spec v1.1 image-layout.md; moby image/spec v1.2, "Combined Image JSON + Filesystem Changeset Format".
 */

import { type Digest, hexOf } from "../base/digest.ts";
import { ociIndex } from "../base/media-types.ts";
import type { Descriptor, Platform } from "../base/oci.ts";
import { familiarReference, formatReference, type Reference } from "../base/reference.ts";
import { type KeptIndex, preferred } from "./documents.ts";
import type { ImageRecord } from "./records.ts";

/** An image, and the tags by which it is saved. */
export interface Saved {
  readonly record: ImageRecord;
  readonly tags: readonly Reference[];
  /** Chosen by its platform: what it came with is left out on purpose. */
  readonly isChosen: boolean;
}

/** A file of the archive. One on disk is hashed while it is sent. */
export type Content = Uint8Array | { readonly path: string; readonly size: number; readonly digest: Digest };

/** How one image is laid out. */
export interface Layout {
  readonly manifest: Descriptor;
  /** That led to the image, and are here. */
  readonly indexes: readonly KeptIndex[];
  readonly config: Digest;
  readonly layers: readonly Digest[];
  readonly platform: Platform;
  readonly blobs: ReadonlyMap<Digest, Content>;
}

type Laid = readonly [Saved, Layout];

const blobPath = (digest: Digest): string => `blobs/sha256/${hexOf(digest)}`;
export const jsonBytes = (value: unknown): Uint8Array => new TextEncoder().encode(JSON.stringify(value));

const manifestOf = ([, { manifest, platform }]: Laid): Descriptor => ({ ...manifest, platform });

/** The tags of an archive, each once, with the images that it means. */
function tagged(images: readonly Laid[]): readonly (readonly [tag: Reference, images: readonly Laid[]])[] {
  const tags = new Map<string, { readonly tag: Reference; readonly images: Laid[] }>();
  for (const image of images)
    for (const tag of image[0].tags) {
      const entry = tags.get(formatReference(tag)) ?? { tag, images: [] };
      entry.images.push(image);
      tags.set(formatReference(tag), entry);
    }
  return [...tags.values()].map((entry) => [entry.tag, entry.images]);
}

/** @returns the index that lists all of a tag's images, that one first by which its repository knows them */
function indexOf(tag: Reference, images: readonly Laid[]): KeptIndex | undefined {
  const [first] = images;
  if (!first || images.some(([saved]) => saved.isChosen)) return undefined;
  const [{ record }, { indexes }] = first;
  const lists = ({ index }: KeptIndex, { digest }: Descriptor) => index.manifests.some((one) => one.digest === digest);
  return preferred(indexes, record, tag).find((one) => images.every(([, { manifest }]) => lists(one, manifest)));
}

/** As both containerd and others look for it. */
const annotated = (descriptor: Descriptor, tag: Reference): Descriptor => ({
  ...descriptor,
  annotations: {
    "io.containerd.image.name": formatReference(tag),
    "org.opencontainers.image.ref.name": tag.tag ?? "latest",
  },
});

/** Docker gives a tag to the last image that claims it: only the first of its platforms does. */
function dockerEntries(images: readonly Laid[]): readonly object[] {
  const first = new Map(tagged(images).map(([tag, [image]]) => [tag, image]));
  return images.flatMap((image) => {
    const [{ tags }, { config, layers }] = image;
    const own = [...first].flatMap(([tag, owner]) => (owner === image ? [familiarReference(tag)] : []));
    if (own.length === 0 && tags.length > 0) return [];
    return [{ Config: blobPath(config), RepoTags: own.length === 0 ? null : own, Layers: layers.map(blobPath) }];
  });
}

/** The archive's files, in order: blobs first, so that a reader has met all when it reads what they mean. */
export function filesOf(images: readonly Laid[]): readonly (readonly [name: string, Content])[] {
  const blobs = new Map<Digest, Content>(images.flatMap(([, layout]) => [...layout.blobs]));
  const named = tagged(images).flatMap(([tag, members]) => {
    const index = indexOf(tag, members);
    if (index) blobs.set(index.descriptor.digest, index.bytes);
    return (index ? [index.descriptor] : members.map(manifestOf)).map((descriptor) => annotated(descriptor, tag));
  });
  const nameless = images.filter(([{ tags }]) => tags.length === 0).map(manifestOf);
  const sorted = [...blobs].sort(([one], [other]) => (one < other ? -1 : 1));
  return [
    ...sorted.map(([digest, content]) => [blobPath(digest), content] as const),
    ["index.json", jsonBytes({ schemaVersion: 2, mediaType: ociIndex, manifests: [...named, ...nameless] })],
    ["manifest.json", jsonBytes(dockerEntries(images))],
    ["oci-layout", jsonBytes({ imageLayoutVersion: "1.0.0" })],
  ];
}
