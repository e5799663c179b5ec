/** The image tables. Written by records.ts and names.ts only. */

import type { Migration } from "../store/database.ts";

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
  {
    name: "images-3",
    sql: `
      ALTER TABLE images ADD COLUMN platform TEXT NOT NULL DEFAULT '';  -- os/architecture[/variant]; empty for this machine's
      CREATE TABLE image_variants (      -- images of other platforms that a name means beside the one in image_references
        name TEXT NOT NULL REFERENCES image_references (name) ON DELETE CASCADE,
        image_id TEXT NOT NULL REFERENCES images (id),
        PRIMARY KEY (name, image_id)
      ) STRICT, WITHOUT ROWID;
      CREATE INDEX image_variants_by_image ON image_variants (image_id);
    `,
  },
  {
    name: "images-parent",
    sql: "ALTER TABLE images ADD COLUMN parent TEXT NOT NULL DEFAULT '';  -- id of the image that it was committed on; empty for none",
  },
  {
    name: "artifacts-1",
    sql: `
      CREATE TABLE artifacts (           -- documents that were pushed to this engine and are no images to it, or say something of one
        domain TEXT NOT NULL,
        path TEXT NOT NULL,
        digest TEXT NOT NULL,
        media_type TEXT NOT NULL,
        artifact_type TEXT NOT NULL,    -- empty when it has none
        annotations TEXT NOT NULL,      -- JSON
        subject TEXT,                   -- digest of the document that it says something of
        PRIMARY KEY (domain, path, digest)
      ) STRICT, WITHOUT ROWID;
      CREATE INDEX artifacts_by_digest ON artifacts (digest);
      CREATE INDEX artifacts_by_subject ON artifacts (subject);
      CREATE TABLE artifact_tags (
        domain TEXT NOT NULL,
        path TEXT NOT NULL,
        tag TEXT NOT NULL,
        digest TEXT NOT NULL,
        PRIMARY KEY (domain, path, tag)
      ) STRICT, WITHOUT ROWID;
      CREATE TABLE artifact_blobs (
        digest TEXT NOT NULL,           -- of the artifact
        blob TEXT NOT NULL,             -- that it needs, itself included
        PRIMARY KEY (digest, blob)
      ) STRICT, WITHOUT ROWID;
      CREATE INDEX artifact_blobs_by_blob ON artifact_blobs (blob);
    `,
  },
];
