/**
 * The image tables. Files come first and rows last when an image arrives, rows first and files last when it goes: a crash in between
 * leaves files that no row needs, which the sweep removes, and never a row without its files.
 */

import { type Digest, parseDigest } from "../base/digest.ts";
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
];

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
}

interface Row {
  readonly id: string;
  readonly tagged_at: number | null;
}

/** `a@sha256:…` when there is a digest: a tag beside a digest does not count. */
const keyOf = ({ domain, path, tag, digest }: Reference): string =>
  formatReference(digest !== undefined ? { domain, path, digest } : { domain, path, tag: tag ?? "latest" });

export class ImageRecords {
  constructor(readonly database: Database) {}

  /** One transaction. */
  put({ id, layers, manifests, references }: Arrival): void {
    this.database.transaction(() => {
      this.database.run("INSERT OR IGNORE INTO images (id) VALUES (?)", id);
      for (const [position, { diffId, bytes }] of layers.entries())
        this.database.run("INSERT OR IGNORE INTO image_layers VALUES (?, ?, ?, ?)", id, position, diffId, bytes);
      for (const digest of manifests)
        this.database.run("INSERT OR IGNORE INTO image_manifests VALUES (?, ?)", id, digest);
      for (const reference of references) this.#point(reference, id);
    });
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

  /** Removes the image and its references. Its files are the caller's. @returns the blobs that it needed, the configuration included */
  remove(id: Digest): readonly Digest[] {
    return this.database.transaction(() => {
      const manifests = this.database.all<{ digest: string }>(
        "SELECT digest FROM image_manifests WHERE image_id = ?",
        id,
      );
      this.database.run("DELETE FROM image_references WHERE image_id = ?", id);
      this.database.run("DELETE FROM images WHERE id = ?", id);
      return [id, ...manifests.map(({ digest }) => parseDigest(digest))];
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

  needsLayer(diffId: Digest): boolean {
    return this.database.find("SELECT 1 FROM image_layers WHERE diff_id = ? LIMIT 1", diffId) !== undefined;
  }

  /** Whether a blob is an image's configuration or a document that led to one. */
  needsBlob(digest: Digest): boolean {
    const sql = "SELECT 1 FROM images WHERE id = ?1 UNION ALL SELECT 1 FROM image_manifests WHERE digest = ?1 LIMIT 1";
    return this.database.find(sql, digest) !== undefined;
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
