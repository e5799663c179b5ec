/**
 * The images in an archive: an OCI layout (index.json), what `docker save` writes (manifest.json), or both. What the layout tells comes first, since
 * it knows manifests and platforms; then what only manifest.json names.
 * Source: moby image/spec v1.2, "Combined Image JSON + Filesystem Changeset Format"; OCI image-spec v1.1 image-layout.md.
 */

import { type Digest, digestOf } from "../base/digest.ts";
import { corrupt, invalid, notFound } from "../base/errors.ts";
import type { Descriptor, Manifest, Platform } from "../base/oci.ts";
import { familiarReference, parseReference, type Reference, withDefaultTag } from "../base/reference.ts";
import type { Archive } from "./archive.ts";
import type { Document, LocalImage } from "./intake.ts";
import { largestConfig, largestDocument, parseConfig, parseDocument } from "./manifest.ts";
import { formatPlatform, isAttestation, rank } from "./platform.ts";
import { fields, list, parseJson, text } from "./shape.ts";

/** Images, counted by name. More than anybody saves in one archive. */
const mostImages = 10_000;

const dockerManifest = list(fields({ Config: text, RepoTags: list(text), Layers: list(text) }, ["Config", "Layers"]));

const suits = (wanted: Platform | undefined, offered: Platform): boolean =>
  wanted === undefined || rank(wanted, offered) !== undefined;

/** Tools differ: containerd writes the full name, others a name with its tag; a tag alone names nothing. */
function namesOf({ annotations = {} }: Descriptor): readonly Reference[] {
  const name = annotations["io.containerd.image.name"] ?? annotations["org.opencontainers.image.ref.name"];
  if (name === undefined || !/[:/]/.test(name)) return [];
  const reference = withDefaultTag(parseReference(name));
  return reference.digest === undefined ? [reference] : [];
}

/** What has been told of already, so that manifest.json does not tell it again. */
class Told {
  readonly #images = new Set<Digest>();
  readonly #names = new Set<string>();

  add(id: Digest, references: readonly Reference[]): void {
    this.#images.add(id);
    for (const reference of references) this.#names.add(`${id} ${familiarReference(reference)}`);
  }

  /** @returns undefined when there is nothing to add */
  rest(id: Digest, references: readonly Reference[]): readonly Reference[] | undefined {
    const rest = references.filter((reference) => !this.#names.has(`${id} ${familiarReference(reference)}`));
    return rest.length === 0 && this.#images.has(id) ? undefined : rest;
  }
}

class Reader {
  readonly #told = new Told();
  #count = 0;

  constructor(
    readonly archive: Archive,
    readonly platform: Platform | undefined,
  ) {}

  #counted(): void {
    if (++this.#count > mostImages) throw corrupt(`Cannot read the archive: more than ${mostImages} images`);
  }

  async *layout(): AsyncGenerator<LocalImage> {
    const document = parseDocument(await this.archive.bytes("index.json", largestDocument), "");
    if (document.kind !== "index") throw corrupt("Cannot read the archive: its index.json is no index");
    for (const descriptor of document.index.manifests) {
      this.#counted();
      if (!isAttestation(descriptor)) yield* this.#entry(descriptor, namesOf(descriptor));
    }
  }

  /** An image, or the images of an index that are in the archive. */
  async *#entry(descriptor: Descriptor, references: readonly Reference[]): AsyncGenerator<LocalImage> {
    const top = await this.#document(descriptor);
    const { parsed } = top;
    if (parsed.kind === "manifest") {
      yield* this.#image(parsed.manifest, [top], references);
      return;
    }
    const present = parsed.index.manifests.filter((one) => !isAttestation(one) && this.archive.hasBlob(one));
    if (present.length === 0)
      throw corrupt(`Cannot read the archive: it has no image of the index ${descriptor.digest}`);
    for (const one of present) {
      this.#counted();
      const inner = await this.#document(one);
      if (inner.parsed.kind === "index") throw invalid("the image index names another index for this platform");
      yield* this.#image(inner.parsed.manifest, [top, inner], references);
    }
  }

  async #document(descriptor: Descriptor) {
    const bytes = await this.archive.blobBytes(descriptor, largestDocument);
    return { digest: descriptor.digest, bytes, parsed: parseDocument(bytes, descriptor.mediaType) };
  }

  async *#image(
    { config, layers }: Manifest,
    documents: readonly Document[],
    references: readonly Reference[],
  ): AsyncGenerator<LocalImage> {
    const bytes = await this.archive.blobBytes(config, largestConfig);
    if (!suits(this.platform, parseConfig(bytes))) return;
    this.#told.add(config.digest, references);
    yield {
      config: bytes,
      layers: layers.map((blob) => ({ path: this.archive.blobPath(blob), blob, given: true })),
      references,
      documents,
    };
  }

  async *docker(): AsyncGenerator<LocalImage> {
    const bytes = await this.archive.bytes("manifest.json", largestDocument);
    const manifest = parseJson(bytes, "manifest.json", largestDocument, dockerManifest);
    for (const { Config, RepoTags = [], Layers } of manifest) {
      this.#counted();
      const config = await this.archive.bytes(Config, largestConfig);
      if (this.platform && !suits(this.platform, parseConfig(config))) continue;
      const tags = RepoTags.map((tag) => withDefaultTag(parseReference(tag)));
      const references = this.#told.rest(digestOf(config), tags);
      if (!references) continue;
      const layers = Layers.map((name) => ({ path: this.archive.file(name).path, given: true }));
      yield { config, layers, references, documents: [] };
    }
  }
}

/**
 * @param platform  only images for it; all unless given
 * @returns         the images, in the archive's order
 * @throws          corrupt, invalid, notFound when no image is for the platform
 */
export async function* readImages(archive: Archive, platform: Platform | undefined): AsyncGenerator<LocalImage> {
  const reader = new Reader(archive, platform);
  const isLayout = archive.has("index.json");
  const isDocker = archive.has("manifest.json");
  if (!isLayout && !isDocker) throw invalid("the archive has neither manifest.json nor index.json: it is no image");
  let count = 0;
  for (const images of [isLayout ? reader.layout() : [], isDocker ? reader.docker() : []])
    for await (const image of images) {
      count++;
      yield image;
    }
  if (count === 0 && platform)
    throw notFound(`the archive does not provide the specified platform (${formatPlatform(platform)})`);
}
