/**
 * This engine's images as a registry has them: repositories of manifests and blobs.
 *
 * A repository is called as people call its images, without `docker.io/`: `busybox` and `library/busybox` are one, `ghcr.io/team/app` keeps its
 * domain. Names with a port are no repository names, and not served. An image whose manifest or blobs are not here gets them when somebody
 * asks: layers are compressed with gzip, as for a push, and kept. (Sending them plain is only faster than compressing on networks of more
 * than some 3 Gbit/s.)
 */

import type { Digest } from "../base/digest.ts";
import { messageOf } from "../base/errors.ts";
import type { Descriptor } from "../base/oci.ts";
import { familiarName, familiarReference, parseReference, type Reference } from "../base/reference.ts";
import { together } from "../base/together.ts";
import type { Document } from "../registry/registry.ts";
import type { Blob, ContentStore } from "../store/content.ts";
import type { Artifacts } from "./artifacts.ts";
import { type KeptIndex, type KeptManifest, keptDocument, keptDocuments, preferred } from "./documents.ts";
import type { LayerBlobs } from "./layer-blobs.ts";
import { isForeign } from "./layer-types.ts";
import type { Lookup } from "./lookup.ts";
import { ownManifest } from "./own-manifest.ts";
import { ProtocolError } from "./protocol-error.ts";
import type { ImageRecord, ImageRecords } from "./records.ts";
import type { Remover } from "./remove.ts";
import type { Sweeper } from "./sweep.ts";

export interface RepositoriesOptions {
  readonly content: ContentStore;
  readonly records: ImageRecords;
  readonly lookup: Lookup;
  readonly sweeper: Sweeper;
  readonly remover: Remover;
  readonly blobs: LayerBlobs;
  readonly artifacts: Artifacts;
}

export interface Referrer extends Descriptor {
  readonly artifactType: string;
}

/** Source: distribution-spec v1.1, "Pull": the grammar of `<name>`. */
const NAME = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:\/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*$/;

/** @throws ProtocolError */
export function repositoryNamed(name: string): Reference {
  if (!NAME.test(name) || name.length > 255) throw new ProtocolError("NAME_INVALID", "invalid repository name");
  try {
    const { domain, path } = parseReference(name);
    return { domain, path };
  } catch (cause) {
    throw new ProtocolError("NAME_INVALID", "invalid repository name", { cause });
  }
}

const isIn = ({ domain, path }: Reference, reference: Reference): boolean =>
  reference.domain === domain && reference.path === path;

export class Repositories {
  readonly #options: RepositoriesOptions;

  constructor(options: RepositoriesOptions) {
    this.#options = options;
  }

  /** @returns names, sorted */
  catalog(): readonly string[] {
    const { records, artifacts } = this.#options;
    const all = [...records.all().flatMap(({ references }) => references), ...artifacts.repositories()];
    return [...new Set(all.map(familiarName))].filter((name) => NAME.test(name)).sort();
  }

  /** Sorted. @throws ProtocolError for a repository that is not there */
  tags(repository: Reference): readonly string[] {
    const { lookup, artifacts } = this.#options;
    const tags = [...lookup.tagsOf(repository).map(({ tag = "latest" }) => tag), ...artifacts.tagsOf(repository)];
    if (tags.length === 0 && !this.catalog().includes(familiarName(repository)))
      throw new ProtocolError("NAME_UNKNOWN", "repository name not known to registry");
    return [...new Set(tags)].sort();
  }

  /** @param reference  with a tag or a digest. @throws ProtocolError */
  async manifest(reference: Reference): Promise<Document> {
    const { records, artifacts } = this.#options;
    const digest = reference.digest ?? artifacts.findTag(reference);
    const document = digest
      ? await this.#byDigest(reference, digest)
      : await this.#ofImage(reference, records.findByReference(reference));
    if (document) return document;
    throw new ProtocolError("MANIFEST_UNKNOWN", "manifest unknown");
  }

  /** @returns the blob's file. @throws ProtocolError */
  async blob(digest: Digest): Promise<Blob> {
    const blob = await this.#options.content.find(digest);
    if (blob) return blob;
    throw new ProtocolError("BLOB_UNKNOWN", "blob unknown to registry");
  }

  async has(digest: Digest): Promise<boolean> {
    return (await this.#options.content.find(digest)) !== undefined;
  }

  /** The blob turned out to be damaged. Who asks for its manifest again gets another one. */
  async drop(digest: Digest): Promise<void> {
    await this.#options.content.remove(digest);
  }

  /** @returns what says something of a document, as an index lists it */
  async referrers(repository: Reference, subject: Digest): Promise<readonly Referrer[]> {
    const { artifacts, content } = this.#options;
    const found = artifacts.referrers(repository, subject).map(async (artifact) => {
      const { mediaType, digest, artifactType, annotations } = artifact;
      const blob = await content.find(digest);
      return blob ? [{ mediaType, digest, size: blob.size, artifactType, annotations }] : [];
    });
    return (await Promise.all(found)).flat();
  }

  /** A tag is taken away; a digest goes with every tag that means it. @throws ProtocolError */
  async remove(reference: Reference): Promise<void> {
    const { artifacts, sweeper, remover, records } = this.#options;
    const names = await this.#namesOf(reference);
    const artifact = reference.digest && artifacts.find(reference, reference.digest);
    if (reference.digest === undefined && artifacts.findTag(reference)) return artifacts.untag(reference);
    if (names.length === 0 && !artifact) throw new ProtocolError("MANIFEST_UNKNOWN", "manifest unknown");
    for (const name of names) {
      if (!records.findByReference(parseReference(name))) continue; // it went along with the one before
      await remover.remove(name).catch((cause: unknown) => {
        throw new ProtocolError("DENIED", messageOf(cause), { cause });
      });
    }
    if (artifact) await sweeper.discard({ blobs: artifacts.remove(reference, artifact.digest) });
  }

  /** A blob that a manifest needs stays. @throws ProtocolError */
  async removeBlob(digest: Digest): Promise<void> {
    const { records, sweeper } = this.#options;
    await this.blob(digest);
    records.unlease({ blobs: [digest] });
    if (records.needsBlob(digest)) throw new ProtocolError("DENIED", `a manifest needs the blob ${digest}`);
    await sweeper.discard({ blobs: [digest] });
  }

  /** @returns names by which images of this repository are removed: tags first, since the last of them takes the digests along */
  async #namesOf(reference: Reference): Promise<readonly string[]> {
    const { records, lookup } = this.#options;
    const { digest } = reference;
    if (digest === undefined) return records.findByReference(reference) ? [familiarReference(reference)] : [];
    const names: string[] = [];
    for (const image of lookup.members(records.ownersOf(digest))) {
      const own = image.references.filter((one) => isIn(reference, one));
      for (const tag of own.filter((one) => one.digest === undefined))
        if ((await this.#ofImage(tag, image))?.descriptor.digest === digest) names.push(familiarReference(tag));
      if (own.some((one) => one.digest === digest)) names.push(familiarReference({ ...reference, digest }));
    }
    return names;
  }

  async #byDigest(reference: Reference, digest: Digest): Promise<Document | undefined> {
    const { records, lookup, content, artifacts } = this.#options;
    const known = artifacts.find(reference, digest);
    const isOwned = lookup
      .members(records.ownersOf(digest))
      .some((image) => image.references.some((one) => isIn(reference, one)));
    if (!known && !isOwned) return undefined;
    return keptDocument(content, digest, known?.mediaType);
  }

  async #ofImage(reference: Reference, image: ImageRecord | undefined): Promise<Document | undefined> {
    if (!image) return undefined;
    const { content, records } = this.#options;
    const { manifests, indexes } = await keptDocuments(content, records, image.id);
    for (const index of indexes) if (await this.#isWhole(reference, index)) return index;
    for (const manifest of preferred(manifests, image, reference)) if (await this.#hasBlobs(manifest)) return manifest;
    return this.#make(image);
  }

  /** An index of which something is not here would lead nowhere: the image's own manifest is served then. */
  async #isWhole(reference: Reference, { index, descriptor }: KeptIndex): Promise<boolean> {
    const { records, artifacts, content } = this.#options;
    const isOurs =
      artifacts.find(reference, descriptor.digest) !== undefined ||
      records.findByReference({ domain: reference.domain, path: reference.path, digest: descriptor.digest }) !==
        undefined;
    if (!isOurs) return false;
    for (const { digest } of index.manifests) {
      const document = await keptDocument(content, digest, undefined);
      if (!document) return false;
      if (document.manifest && !(await this.#hasBlobs({ ...document, manifest: document.manifest }))) return false;
    }
    return true;
  }

  async #hasBlobs({ manifest }: Pick<KeptManifest, "manifest">): Promise<boolean> {
    const wanted = [manifest.config, ...manifest.layers.filter((layer) => !isForeign(layer))];
    const found = await Promise.all(wanted.map((one) => this.#options.blobs.find(one)));
    return found.every((blob) => blob !== undefined);
  }

  async #make(image: ImageRecord): Promise<Document> {
    const { blobs, sweeper } = this.#options;
    const diffIds = image.layers.map(({ diffId }) => diffId);
    using _ = await sweeper.hold({ layers: diffIds, blobs: [image.id] });
    const layers: Descriptor[] = await together(...diffIds.map((diffId) => blobs.make(diffId, "gzip")));
    return ownManifest(this.#options, image, { family: "docker", layers });
  }
}
