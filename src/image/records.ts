/**
 * The image tables. Files come first and rows last when an image arrives, rows first and files last when it goes: a crash in between
 * leaves files that no row needs, which the sweep removes, and never a row without its files.
 */

import { type Digest, parseDigest } from "../base/digest.ts";
import type { Descriptor } from "../base/oci.ts";
import { formatReference, parseReference, type Reference } from "../base/reference.ts";
import type { Database, Migration } from "../store/database.ts";

export const imageMigrations: readonly Migration[] = [
  {
    name: "images-1",
    sql: `
      CREATE TABLE images (
        id TEXT PRIMARY KEY,     -- digest of its configuration
        tagged_at INTEGER        -- last local tagging, ms since 1970
      ) STRICT;
      CREATE TABLE image_layers (
        image_id TEXT NOT NULL REFERENCES images (id) ON DELETE CASCADE,
        position INTEGER NOT NULL,      -- 0 is the bottom
        diff_id TEXT NOT NULL,
        bytes INTEGER NOT NULL,         -- unpacked
        PRIMARY KEY (image_id, position)
      ) STRICT, WITHOUT ROWID;
      CREATE INDEX image_layers_by_diff_id ON image_layers (diff_id);
      CREATE TABLE image_manifests (
        image_id TEXT NOT NULL REFERENCES images (id) ON DELETE CASCADE,
        digest TEXT NOT NULL,           -- of a manifest or index that leads to the image, a blob in the content store
        PRIMARY KEY (image_id, digest)
      ) STRICT, WITHOUT ROWID;
      CREATE INDEX image_manifests_by_digest ON image_manifests (digest);
      CREATE TABLE image_references (
        name TEXT PRIMARY KEY,          -- docker.io/library/x:tag or docker.io/library/x@sha256:…
        image_id TEXT NOT NULL REFERENCES images (id)
      ) STRICT, WITHOUT ROWID;
      CREATE INDEX image_references_by_image ON image_references (image_id);
    `,
  },
  {
    name: "images-2",
    sql: `
      CREATE TABLE layer_blobs (
        diff_id TEXT NOT NULL,
        digest TEXT NOT NULL,           -- of a blob that unpacks to the layer; the content store may have lost it
        media_type TEXT NOT NULL,
        bytes INTEGER NOT NULL,
        PRIMARY KEY (diff_id, digest)
      ) STRICT, WITHOUT ROWID;
      CREATE INDEX layer_blobs_by_digest ON layer_blobs (digest);
      CREATE TABLE blob_repositories (
        digest TEXT NOT NULL,
        domain TEXT NOT NULL,           -- as docker.io
        path TEXT NOT NULL,             -- as library/x
        PRIMARY KEY (digest, domain, path)
      ) STRICT, WITHOUT ROWID;
      CREATE TABLE leases (
        kind TEXT NOT NULL,             -- 'blob' or 'layer'
        digest TEXT NOT NULL,
        until INTEGER NOT NULL,         -- ms since 1970
        PRIMARY KEY (kind, digest)
      ) STRICT, WITHOUT ROWID;
    `,
  },
];

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
}

/** A blob that unpacks to a layer. It is a cache: the layer's raw tar is the truth, and the content store may have lost it. */
export interface LayerBlob {
  readonly diffId: Digest;
  readonly blob: Descriptor;
  /** A repository that is known to have it. */
  readonly repository?: Reference;
}

interface Row {
  readonly id: string;
  readonly tagged_at: number | null;
}

/** `a@sha256:…` when there is a digest: a tag beside a digest does not count. */
const keyOf = ({ domain, path, tag, digest }: Reference): string =>
  formatReference(digest !== undefined ? { domain, path, digest } : { domain, path, tag: tag ?? "latest" });

const kindsOf = ({ blobs = [], layers = [] }: Files): (readonly ["blob" | "layer", Digest])[] => [
  ...blobs.map((digest) => ["blob", digest] as const),
  ...layers.map((digest) => ["layer", digest] as const),
];

export class ImageRecords {
  constructor(readonly database: Database) {}

  /** One transaction. */
  put({ id, layers, manifests, references, blobs = [] }: Arrival): void {
    this.database.transaction(() => {
      this.database.run("INSERT OR IGNORE INTO images (id) VALUES (?)", id);
      for (const [position, { diffId, bytes }] of layers.entries())
        this.database.run("INSERT OR IGNORE INTO image_layers VALUES (?, ?, ?, ?)", id, position, diffId, bytes);
      for (const digest of manifests)
        this.database.run("INSERT OR IGNORE INTO image_manifests VALUES (?, ?)", id, digest);
      for (const reference of references) this.#point(reference, id);
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

  /** Ends the leases that were given until before `now`; all of them when it is not given. */
  expire(now?: Date): void {
    this.database.run("DELETE FROM leases WHERE until < ?", now?.getTime() ?? Number.MAX_SAFE_INTEGER);
  }

  #isLeased(kind: "blob" | "layer", digest: Digest): boolean {
    const sql = "SELECT 1 FROM leases WHERE kind = ? AND digest = ?";
    return this.database.find(sql, kind, digest) !== undefined;
  }

  /** Makes a reference mean this image. The image exists. */
  tag(reference: Reference, id: Digest, at: Date): void {
    this.database.transaction(() => {
      this.#point(reference, id);
      this.database.run("UPDATE images SET tagged_at = ? WHERE id = ?", at.getTime(), id);
    });
  }

  untag(references: readonly Reference[]): void {
    this.database.transaction(() => {
      for (const reference of references)
        this.database.run("DELETE FROM image_references WHERE name = ?", keyOf(reference));
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
      this.database.run("DELETE FROM image_references WHERE image_id = ?", id);
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
    const owner = this.#ownerOf(reference);
    return owner === undefined ? undefined : this.findById(parseDigest(owner));
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

  /** Whether an image has a layer, or unfinished work does. */
  needsLayer(diffId: Digest): boolean {
    const sql = "SELECT 1 FROM image_layers WHERE diff_id = ? LIMIT 1";
    return this.database.find(sql, diffId) !== undefined || this.#isLeased("layer", diffId);
  }

  /** Whether a blob is an image's configuration, a document that led to one, or a layer's; or unfinished work needs it. */
  needsBlob(digest: Digest): boolean {
    const sql = `
      SELECT 1 FROM images WHERE id = ?1
      UNION ALL SELECT 1 FROM image_manifests WHERE digest = ?1
      UNION ALL SELECT 1 FROM layer_blobs JOIN image_layers USING (diff_id) WHERE digest = ?1 LIMIT 1`;
    return this.database.find(sql, digest) !== undefined || this.#isLeased("blob", digest);
  }

  #ownerOf(reference: Reference): string | undefined {
    const sql = "SELECT image_id FROM image_references WHERE name = ?";
    return this.database.find<{ image_id: string }>(sql, keyOf(reference))?.image_id;
  }

  #point(reference: Reference, id: Digest): void {
    const sql =
      "INSERT INTO image_references VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET image_id = excluded.image_id";
    this.database.run(sql, keyOf(reference), id);
  }

  #read({ id, tagged_at }: Row): ImageRecord {
    const layers = this.database.all<{ diff_id: string; bytes: number }>(
      "SELECT diff_id, bytes FROM image_layers WHERE image_id = ? ORDER BY position",
      id,
    );
    const names = this.database.all<{ name: string }>(
      "SELECT name FROM image_references WHERE image_id = ? ORDER BY name",
      id,
    );
    return {
      id: parseDigest(id),
      layers: layers.map(({ diff_id, bytes }) => ({ diffId: parseDigest(diff_id), bytes })),
      references: names.map(({ name }) => parseReference(name)),
      ...(tagged_at !== null && { taggedAt: new Date(tagged_at) }),
    };
  }
}
