/**
 * Documents that were pushed to this engine and are no images to it: signatures, attestations, charts, images of other systems. They are kept
 * with their blobs, and served. An image's document is here as well when it says something of another: as its *referrer*.
 */

import { type Digest, parseDigest } from "../base/digest.ts";
import type { Reference } from "../base/reference.ts";
import type { Database } from "../store/database.ts";

export interface Artifact {
  readonly repository: Reference;
  readonly digest: Digest;
  readonly mediaType: string;
  /** Empty when it has none. */
  readonly artifactType: string;
  readonly annotations: Readonly<Record<string, string>>;
  readonly subject?: Digest | undefined;
}

interface Row {
  readonly domain: string;
  readonly path: string;
  readonly digest: string;
  readonly media_type: string;
  readonly artifact_type: string;
  readonly annotations: string;
  readonly subject: string | null;
}

const toArtifact = (row: Row): Artifact => ({
  repository: { domain: row.domain, path: row.path },
  digest: parseDigest(row.digest),
  mediaType: row.media_type,
  artifactType: row.artifact_type,
  annotations: JSON.parse(row.annotations),
  ...(row.subject !== null && { subject: parseDigest(row.subject) }),
});

export class Artifacts {
  constructor(readonly database: Database) {}

  /** @param blobs  that it needs, itself included. @param tag  that means it from now on */
  put(artifact: Artifact, blobs: readonly Digest[], tag: string | undefined): void {
    const { repository, digest, mediaType, artifactType, annotations, subject } = artifact;
    const { domain, path } = repository;
    this.database.transaction(() => {
      this.database.run(
        "INSERT OR IGNORE INTO artifacts VALUES (?, ?, ?, ?, ?, ?, ?)",
        ...[domain, path, digest, mediaType, artifactType, JSON.stringify(annotations), subject ?? null],
      );
      for (const blob of blobs) this.database.run("INSERT OR IGNORE INTO artifact_blobs VALUES (?, ?)", digest, blob);
      if (tag !== undefined)
        this.database.run("INSERT OR REPLACE INTO artifact_tags VALUES (?, ?, ?, ?)", domain, path, tag, digest);
    });
  }

  find({ domain, path }: Reference, digest: Digest): Artifact | undefined {
    const sql = "SELECT * FROM artifacts WHERE domain = ? AND path = ? AND digest = ?";
    const row = this.database.find<Row>(sql, domain, path, digest);
    return row && toArtifact(row);
  }

  findTag({ domain, path, tag = "latest" }: Reference): Digest | undefined {
    const sql = "SELECT digest FROM artifact_tags WHERE domain = ? AND path = ? AND tag = ?";
    const row = this.database.find<{ digest: string }>(sql, domain, path, tag);
    return row && parseDigest(row.digest);
  }

  /** @returns what says something of a document, in no order */
  referrers({ domain, path }: Reference, subject: Digest): readonly Artifact[] {
    const sql = "SELECT * FROM artifacts WHERE domain = ? AND path = ? AND subject = ? ORDER BY digest";
    return this.database.all<Row>(sql, domain, path, subject).map(toArtifact);
  }

  tagsOf({ domain, path }: Reference): readonly string[] {
    const sql = "SELECT tag FROM artifact_tags WHERE domain = ? AND path = ?";
    return this.database.all<{ tag: string }>(sql, domain, path).map(({ tag }) => tag);
  }

  repositories(): readonly Reference[] {
    return this.database.all<{ domain: string; path: string }>("SELECT DISTINCT domain, path FROM artifacts");
  }

  untag({ domain, path, tag = "latest" }: Reference): void {
    this.database.run("DELETE FROM artifact_tags WHERE domain = ? AND path = ? AND tag = ?", domain, path, tag);
  }

  /** @returns blobs that nobody may need any more; their removal is the caller's */
  remove({ domain, path }: Reference, digest: Digest): readonly Digest[] {
    return this.database.transaction(() => {
      const where = "WHERE domain = ? AND path = ? AND digest = ?";
      this.database.run(`DELETE FROM artifact_tags ${where}`, domain, path, digest);
      this.database.run(`DELETE FROM artifacts ${where}`, domain, path, digest);
      if (this.database.find("SELECT 1 FROM artifacts WHERE digest = ?", digest)) return [];
      const blobs = this.database.all<{ blob: string }>("SELECT blob FROM artifact_blobs WHERE digest = ?", digest);
      this.database.run("DELETE FROM artifact_blobs WHERE digest = ?", digest);
      return blobs.map(({ blob }) => parseDigest(blob));
    });
  }
}
