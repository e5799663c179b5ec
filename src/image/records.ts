/**
 * Images as they are remembered. Files come first and rows last when an image arrives, rows first and files last when it goes: a crash in between
 * leaves files that no row needs, which the sweep removes, and never a row without its files.
 */

import { type Digest, parseDigest } from "../base/digest.ts";
import type { Descriptor, Platform } from "../base/oci.ts";
import type { Reference } from "../base/reference.ts";
import type { Database } from "../store/database.ts";
import { ImageNames } from "./names.ts";
import { formatPlatform, hostPlatform } from "./platform.ts";

/** Files by what they are. */
export interface Files {
  readonly blobs?: readonly Digest[];
  readonly layers?: readonly Digest[];
}

export interface Layer {
  readonly diffId: Digest;
  /** Unpacked. */
  readonly bytes: number;
}

export interface ImageRecord {
  readonly id: Digest;
  /** Bottom first. */
  readonly layers: readonly Layer[];
  /** Tags and digests, sorted by name. */
  readonly references: readonly Reference[];
  readonly taggedAt?: Date;
  /** What it was made from, here. */
  readonly parent?: Digest;
}

/** A new image, or one more way to one that exists. */
export interface Arrival {
  readonly id: Digest;
  readonly layers: readonly Layer[];
  /** Manifest and index that led here. */
  readonly manifests: readonly Digest[];
  /** References that mean this image from now on. */
  readonly references: readonly Reference[];
  /** Where its layers came from. */
  readonly blobs?: readonly LayerBlob[];
  /** The machine's own unless given. */
  readonly platform?: Platform;
  /** Images that came together with it, of other platforms: they keep the names that they share. */
  readonly beside?: readonly Digest[];
  /** What it was made from, here. */
  readonly parent?: Digest;
}

/** A blob that unpacks to a layer. It is a cache: the layer's raw tar is the truth, and the content store may have lost it. */
export interface LayerBlob {
  readonly diffId: Digest;
  readonly blob: Descriptor;
  /** A repository that is known to have it. */
  readonly repository?: Reference;
}

export interface LayerUsage {
  /** Unpacked. */
  readonly bytes: number;
  /** Of the compressed forms that are kept. */
  readonly blobBytes: number;
  /** How many images have it. */
  readonly images: number;
}

interface Row {
  readonly id: string;
  readonly tagged_at: number | null;
  readonly parent: string;
}

const kindsOf = ({ blobs = [], layers = [] }: Files): (readonly ["blob" | "layer", Digest])[] => [
  ...blobs.map((digest) => ["blob", digest] as const),
  ...layers.map((digest) => ["layer", digest] as const),
];

export class ImageRecords {
  readonly #names: ImageNames;

  /** @param machine  whose image of several under one name is the first */
  constructor(
    readonly database: Database,
    machine: Platform = hostPlatform(),
  ) {
    this.#names = new ImageNames(database, machine);
  }

  /** One transaction. */
  put(arrival: Arrival): void {
    const { id, layers, manifests, references, blobs = [], platform, beside = [], parent = "" } = arrival;
    this.database.transaction(() => {
      const text = platform ? formatPlatform(platform) : "";
      this.database.run("INSERT OR IGNORE INTO images (id, platform, parent) VALUES (?, ?, ?)", id, text, parent);
      for (const [position, { diffId, bytes }] of layers.entries())
        this.database.run("INSERT OR IGNORE INTO image_layers VALUES (?, ?, ?, ?)", id, position, diffId, bytes);
      for (const digest of manifests)
        this.database.run("INSERT OR IGNORE INTO image_manifests VALUES (?, ?)", id, digest);
      for (const reference of references) this.#names.join(reference, id, beside);
      for (const { diffId, blob, repository } of blobs) {
        this.addBlob(diffId, blob);
        if (repository) this.addRepository(blob.digest, repository);
      }
    });
  }

  /** Notes that a blob unpacks to a layer that an image has. Idempotent. */
  addBlob(diffId: Digest, { digest, mediaType, size }: Descriptor): void {
    this.database.run("INSERT OR IGNORE INTO layer_blobs VALUES (?, ?, ?, ?)", diffId, digest, mediaType, size);
  }

  /** @returns the blobs that unpack to a layer, in no order; the content store need not have them */
  blobsOf(diffId: Digest): readonly Descriptor[] {
    const sql = "SELECT digest, media_type, bytes FROM layer_blobs WHERE diff_id = ?";
    return this.database
      .all<{ digest: string; media_type: string; bytes: number }>(sql, diffId)
      .map(({ digest, media_type, bytes }) => ({ mediaType: media_type, digest: parseDigest(digest), size: bytes }));
  }

  /** Notes that a repository has a blob. Idempotent. */
  addRepository(digest: Digest, { domain, path }: Reference): void {
    this.database.run("INSERT OR IGNORE INTO blob_repositories VALUES (?, ?, ?)", digest, domain, path);
  }

  /** @returns repositories of a registry that are known to have a blob: it can be mounted from there */
  repositoriesOf(digest: Digest, domain: string): readonly Reference[] {
    const sql = "SELECT path FROM blob_repositories WHERE digest = ? AND domain = ?";
    return this.database.all<{ path: string }>(sql, digest, domain).map(({ path }) => ({ domain, path }));
  }

  /** Keeps files that no image needs yet, for one that may come: unfinished work that a later attempt continues. */
  lease(files: Files, until: Date): void {
    this.database.transaction(() => {
      for (const [kind, digest] of kindsOf(files))
        this.database.run("INSERT OR REPLACE INTO leases VALUES (?, ?, ?)", kind, digest, until.getTime());
    });
  }

  /** Ends leases; the files are the caller's to remove. */
  unlease(files: Files): void {
    this.database.transaction(() => {
      for (const [kind, digest] of kindsOf(files))
        this.database.run("DELETE FROM leases WHERE kind = ? AND digest = ?", kind, digest);
    });
  }

  /** Ends the leases that end before a time. @returns their files, which are the caller's to remove */
  expire(before: Date): Required<Files> {
    return this.database.transaction(() => {
      const at = before.getTime();
      const ended = this.database.all<{ kind: string; digest: string }>("SELECT * FROM leases WHERE until < ?", at);
      this.database.run("DELETE FROM leases WHERE until < ?", at);
      const of = (kind: string) => ended.filter((row) => row.kind === kind).map(({ digest }) => parseDigest(digest));
      return { blobs: of("blob"), layers: of("layer") };
    });
  }

  #isLeased(kind: "blob" | "layer", digest: Digest): boolean {
    const sql = "SELECT 1 FROM leases WHERE kind = ? AND digest = ?";
    return this.database.find(sql, kind, digest) !== undefined;
  }

  /** Makes a reference mean these images, which exist: one, or several platforms' that came together. */
  tag(reference: Reference, ids: readonly Digest[], at: Date): void {
    this.database.transaction(() => {
      this.#names.set(reference, ids);
      for (const id of ids) this.database.run("UPDATE images SET tagged_at = ? WHERE id = ?", at.getTime(), id);
    });
  }

  /** References no longer mean the image; they may mean one of another platform. */
  untag(references: readonly Reference[], id: Digest): void {
    this.database.transaction(() => {
      for (const reference of references) this.#names.leave(reference, id);
    });
  }

  /**
   * Removes the image and its references, and what is known of layers that no other image has. Its files are the caller's.
   * @returns the blobs that it needed: the configuration, its manifests, its layers'
   */
  remove(id: Digest): readonly Digest[] {
    return this.database.transaction(() => {
      const blobs = this.database.all<{ digest: string }>(
        "SELECT DISTINCT digest FROM layer_blobs JOIN image_layers USING (diff_id) WHERE image_id = ?",
        id,
      );
      const manifests = this.database.all<{ digest: string }>(
        "SELECT digest FROM image_manifests WHERE image_id = ?",
        id,
      );
      for (const reference of this.#names.of(id)) this.#names.leave(reference, id);
      this.database.run("DELETE FROM images WHERE id = ?", id);
      this.database.run("DELETE FROM layer_blobs WHERE diff_id NOT IN (SELECT diff_id FROM image_layers)");
      this.database.run("DELETE FROM blob_repositories WHERE digest NOT IN (SELECT digest FROM layer_blobs)");
      return [id, ...[...manifests, ...blobs].map(({ digest }) => parseDigest(digest))];
    });
  }

  findById(id: Digest): ImageRecord | undefined {
    const row = this.database.find<Row>("SELECT * FROM images WHERE id = ?", id);
    return row && this.#read(row);
  }

  findByReference(reference: Reference): ImageRecord | undefined {
    const owner = this.#names.first(reference);
    return owner === undefined ? undefined : this.findById(owner);
  }

  /** @returns the images of other platforms that a reference means beside the one of `findByReference` */
  variantsOf(reference: Reference): readonly Digest[] {
    return this.#names.variants(reference);
  }

  /** @returns whether an image is what a reference means, or one platform of it */
  means(reference: Reference, id: Digest): boolean {
    return this.#names.first(reference) === id || this.#names.variants(reference).includes(id);
  }

  /** A manifest or index that led to images is lost; they stay. */
  forgetDocument(digest: Digest): void {
    this.database.run("DELETE FROM image_manifests WHERE digest = ?", digest);
  }

  /** @returns the images that a manifest or index led to */
  ownersOf(document: Digest): readonly Digest[] {
    const sql = "SELECT image_id FROM image_manifests WHERE digest = ? ORDER BY image_id";
    return this.database.all<{ image_id: string }>(sql, document).map(({ image_id }) => parseDigest(image_id));
  }

  /** @returns every layer that an image has: its bytes, those of its blobs, and how many images have it */
  layerUsage(): ReadonlyMap<Digest, LayerUsage> {
    const sql = `
      SELECT diff_id AS diffId, max(bytes) AS bytes, count(DISTINCT image_id) AS images,
        (SELECT total(bytes) FROM layer_blobs WHERE layer_blobs.diff_id = image_layers.diff_id) AS blobBytes
      FROM image_layers GROUP BY diff_id`;
    const rows = this.database.all<LayerUsage & { readonly diffId: string }>(sql);
    return new Map(rows.map(({ diffId, ...usage }) => [parseDigest(diffId), usage]));
  }

  /** @param hex  the beginning of an id, without `sha256:`. @returns undefined also when several ids begin so */
  findByPrefix(hex: string): ImageRecord | undefined {
    if (!/^[0-9a-f]{1,64}$/.test(hex)) return undefined;
    const [first, second] = this.database.all<Row>("SELECT * FROM images WHERE id GLOB ? LIMIT 2", `sha256:${hex}*`);
    return first && !second ? this.#read(first) : undefined;
  }

  all(): readonly ImageRecord[] {
    return this.database.all<Row>("SELECT * FROM images").map((row) => this.#read(row));
  }

  /** Manifests and indexes that led to the image, sorted. */
  manifestsOf(id: Digest): readonly Digest[] {
    const sql = "SELECT digest FROM image_manifests WHERE image_id = ? ORDER BY digest";
    return this.database.all<{ digest: string }>(sql, id).map(({ digest }) => parseDigest(digest));
  }

  /** Whether an image has a layer, or unfinished work does. */
  needsLayer(diffId: Digest): boolean {
    const sql = "SELECT 1 FROM image_layers WHERE diff_id = ? LIMIT 1";
    return this.database.find(sql, diffId) !== undefined || this.#isLeased("layer", diffId);
  }

  /** Whether a blob is an image's configuration, a document that led to one, a layer's or an artifact's; or unfinished work needs it. */
  needsBlob(digest: Digest): boolean {
    const sql = `
      SELECT 1 FROM images WHERE id = ?1
      UNION ALL SELECT 1 FROM image_manifests WHERE digest = ?1
      UNION ALL SELECT 1 FROM artifact_blobs WHERE blob = ?1
      UNION ALL SELECT 1 FROM layer_blobs JOIN image_layers USING (diff_id) WHERE digest = ?1 LIMIT 1`;
    return this.database.find(sql, digest) !== undefined || this.#isLeased("blob", digest);
  }

  #read({ id, tagged_at, parent }: Row): ImageRecord {
    const layers = this.database.all<{ diff_id: string; bytes: number }>(
      "SELECT diff_id, bytes FROM image_layers WHERE image_id = ? ORDER BY position",
      id,
    );
    return {
      id: parseDigest(id),
      layers: layers.map(({ diff_id, bytes }) => ({ diffId: parseDigest(diff_id), bytes })),
      references: this.#names.of(parseDigest(id)),
      ...(tagged_at !== null && { taggedAt: new Date(tagged_at) }),
      ...(parent !== "" && { parent: parseDigest(parent) }),
    };
  }
}
