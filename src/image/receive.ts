/**
 * Manifests that are pushed to this engine. One of an image that runs here becomes a local image: its layers are unpacked before the push is
 * answered. An index is kept as it is, with its images; whatever else there is, as an artifact.
 */

import { type Digest, digestOf } from "../base/digest.ts";
import { kindOf, messageOf } from "../base/errors.ts";
import { documentTypes, indexTypes } from "../base/media-types.ts";
import type { Descriptor, Manifest } from "../base/oci.ts";
import type { Reference } from "../base/reference.ts";
import { bytesOf } from "../base/streams.ts";
import type { ContentStore } from "../store/content.ts";
import type { Artifacts } from "./artifacts.ts";
import type { Intake } from "./intake.ts";
import type { LayerBlobs } from "./layer-blobs.ts";
import { isForeign } from "./layer-types.ts";
import type { Lookup } from "./lookup.ts";
import { descriptor, largestConfig, largestDocument, parseConfig, parseDocument } from "./manifest.ts";
import { ProtocolError } from "./protocol-error.ts";
import type { ImageRecord, ImageRecords } from "./records.ts";
import { fields, integer, list, parseJson, record, text } from "./shape.ts";
import type { Sweeper } from "./sweep.ts";

export interface ReceiverOptions {
  readonly content: ContentStore;
  readonly records: ImageRecords;
  readonly lookup: Lookup;
  readonly sweeper: Sweeper;
  readonly intake: Intake;
  readonly blobs: LayerBlobs;
  readonly artifacts: Artifacts;
  /** An image has come, or has another name. */
  readonly onImage: (id: Digest) => Promise<void>;
}

export interface Received {
  readonly digest: Digest;
  /** What the document says something of. */
  readonly subject: Digest | undefined;
}

const anyDocument = fields(
  {
    schemaVersion: integer,
    mediaType: text,
    artifactType: text,
    config: descriptor,
    layers: list(descriptor),
    manifests: list(descriptor),
    subject: descriptor,
    annotations: record(text),
  },
  ["schemaVersion"],
);

type AnyDocument = ReturnType<typeof anyDocument>;

/** A document on its way in. */
interface Arriving {
  /** With its tag, if it has one. */
  readonly reference: Reference;
  readonly digest: Digest;
  readonly bytes: Uint8Array;
  readonly mediaType: string;
  readonly parsed: AnyDocument;
}

const refused = (message: string, cause?: unknown) => new ProtocolError("MANIFEST_INVALID", message, { cause });
const unknownBlob = (digest: Digest) =>
  new ProtocolError("MANIFEST_BLOB_UNKNOWN", `blob unknown to registry: ${digest}`);

/** @throws ProtocolError unless it is one document of one kind, sent as what it is */
function parse(reference: Reference, bytes: Uint8Array, sent: string): Arriving {
  const digest = digestOf(bytes);
  if (reference.digest !== undefined && reference.digest !== digest)
    throw new ProtocolError("DIGEST_INVALID", `provided digest did not match uploaded content: got ${digest}`);
  let parsed: AnyDocument;
  try {
    parsed = parseJson(bytes, "manifest", largestDocument, anyDocument);
  } catch (cause) {
    throw refused(messageOf(cause), cause);
  }
  const mediaType = parsed.mediaType ?? sent;
  if (mediaType !== sent && sent !== "") throw refused(`the manifest says ${mediaType}, and was sent as ${sent}`);
  if (!documentTypes.includes(mediaType)) throw refused(`unsupported manifest media type ${JSON.stringify(mediaType)}`);
  if (parsed.schemaVersion !== 2) throw refused(`schemaVersion ${parsed.schemaVersion}, want 2`);
  const isIndex = indexTypes.includes(mediaType);
  if (isIndex !== (parsed.manifests !== undefined) || isIndex === (parsed.config !== undefined))
    throw refused("the members of the manifest are not those of its media type");
  return { reference, digest, bytes, mediaType, parsed };
}

export class Receiver {
  readonly #options: ReceiverOptions;

  constructor(options: ReceiverOptions) {
    this.#options = options;
  }

  /**
   * @param reference  with a tag or a digest
   * @param sent       the media type that it was sent as
   * @throws ProtocolError; unavailable when the disk is full
   */
  async put(reference: Reference, bytes: Uint8Array, sent: string): Promise<Received> {
    const { content, sweeper, records } = this.#options;
    const arriving = parse(reference, bytes, sent);
    const { digest, parsed } = arriving;
    const { config, layers = [], subject } = parsed;
    const named = [...(config ? [config] : []), ...layers].filter((one) => !isForeign(one));
    const blobs = [...new Set(named.map((one) => one.digest))];
    using _ = await sweeper.hold({ blobs: [digest, ...blobs] });
    for (const one of named) if (!(await this.#options.blobs.find(one))) throw unknownBlob(one.digest);
    const images = parsed.manifests ? this.#listed(arriving, parsed.manifests) : await this.#image(arriving);
    await content.put({ digest, size: bytes.byteLength }, async () => ({ start: 0, body: bytesOf(bytes) }));
    this.#name(arriving, images);
    if (images.length === 0 || subject) this.#keep(arriving, images.length === 0, [digest, ...blobs]);
    records.unlease({ blobs });
    for (const { id } of images) await this.#options.onImage(id);
    return { digest, subject: subject?.digest };
  }

  /** All that an index lists is here. @returns the images among it */
  #listed({ reference }: Arriving, manifests: readonly Descriptor[]): readonly ImageRecord[] {
    const { records, lookup, artifacts } = this.#options;
    const isHere = ({ domain, path }: Reference) => domain === reference.domain && path === reference.path;
    return manifests.flatMap(({ digest }) => {
      const [owner] = lookup
        .members(records.ownersOf(digest))
        .filter((image) => image.references.some((one) => isHere(one)));
      if (!owner && !artifacts.find(reference, digest)) throw unknownBlob(digest);
      return owner ?? [];
    });
  }

  /** @returns the image, if the manifest is one of an image that runs here; its layers are unpacked then */
  async #image({ bytes, digest, mediaType, reference }: Arriving): Promise<readonly ImageRecord[]> {
    const { content, intake, records } = this.#options;
    const manifest = imageManifest(bytes, mediaType);
    if (!manifest) return [];
    const config = await this.#runnable(manifest);
    if (!config) return [];
    const layers = await Promise.all(
      manifest.layers.map(async (blob) => ({ path: (await content.get(blob.digest)).path, blob })),
    );
    const { domain, path } = reference;
    const documents = [{ digest, bytes }];
    try {
      await intake.add({ config, layers, references: [{ domain, path, digest }], documents });
    } catch (error) {
      if (kindOf(error) === "corrupt" || kindOf(error) === "invalid") throw refused(messageOf(error), error);
      throw error;
    }
    const image = records.findById(manifest.config.digest);
    const diffIds = parseConfig(config).rootfs.diff_ids;
    if (image) records.put({ ...image, references: [], manifests: [digest], blobs: pairs(diffIds, manifest.layers) });
    return image ? [image] : [];
  }

  /** @returns the configuration's bytes, if it is one of Linux with these layers. @throws ProtocolError when it contradicts the manifest */
  async #runnable({ config, layers }: Manifest): Promise<Uint8Array | undefined> {
    if (config.size > largestConfig || layers.some(isForeign)) return undefined;
    const bytes = await Bun.file((await this.#options.content.get(config.digest)).path).bytes();
    try {
      const { os, rootfs } = parseConfig(bytes);
      // What BuildKit says of an image is written as if it were one.
      if (os !== "linux") return undefined;
      if (rootfs.diff_ids.length !== layers.length)
        throw refused("layers from manifest don't match image configuration");
      return bytes;
    } catch (error) {
      if (kindOf(error) === "corrupt") throw refused(messageOf(error), error);
      throw error;
    }
  }

  /** From now on the tag, if there is one, and the digest mean these images. */
  #name({ reference, digest }: Arriving, images: readonly ImageRecord[]): void {
    const { records, artifacts } = this.#options;
    if (images.length === 0) return;
    const { domain, path, tag } = reference;
    const references = [...(tag === undefined ? [] : [{ domain, path, tag }]), { domain, path, digest }];
    const beside = images.map(({ id }) => id);
    if (tag !== undefined) artifacts.untag(reference);
    for (const image of images) records.put({ ...image, references, manifests: [digest], beside });
  }

  #keep({ reference, digest, mediaType, parsed }: Arriving, isArtifact: boolean, blobs: readonly Digest[]): void {
    const { artifactType = parsed.config?.mediaType ?? "", annotations = {}, subject, manifests = [] } = parsed;
    const { domain, path, tag } = reference;
    this.#options.artifacts.put(
      { repository: { domain, path }, digest, mediaType, artifactType, annotations, subject: subject?.digest },
      [...blobs, ...manifests.map((one) => one.digest)],
      isArtifact ? tag : undefined,
    );
  }
}

function imageManifest(bytes: Uint8Array, mediaType: string): Manifest | undefined {
  try {
    const document = parseDocument(bytes, mediaType);
    return document.kind === "manifest" ? document.manifest : undefined;
  } catch {
    return undefined; // whatever it is, it is no image of ours
  }
}

const pairs = (diffIds: readonly Digest[], layers: readonly Descriptor[]) =>
  diffIds.flatMap((diffId, at) => {
    const blob = layers[at];
    return blob ? [{ diffId, blob }] : [];
  });
