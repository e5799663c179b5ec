/**
 * What images are called. A name means one image, or several of different platforms that came together: in one index, or in one archive. Of these
 * the one that suits this machine best is the *first*, which the name means unless a platform is asked for; the others are its *variants*.
 * A name that comes to mean something else leaves all of them.
 */

import { type Digest, parseDigest } from "../base/digest.ts";
import type { Platform } from "../base/oci.ts";
import { formatReference, parseReference, type Reference } from "../base/reference.ts";
import type { Database } from "../store/database.ts";
import { parsePlatform, rank } from "./platform.ts";

/** `a@sha256:…` when there is a digest: a tag beside a digest does not count. */
const keyOf = ({ domain, path, tag, digest }: Reference): string =>
  formatReference(digest !== undefined ? { domain, path, digest } : { domain, path, tag: tag ?? "latest" });

export class ImageNames {
  constructor(
    readonly database: Database,
    readonly machine: Platform,
  ) {}

  /** @returns names of an image, whether it is their first or a variant; sorted */
  of(id: Digest): readonly Reference[] {
    const sql = `SELECT name FROM image_references WHERE image_id = ?1
      UNION SELECT name FROM image_variants WHERE image_id = ?1 ORDER BY name`;
    return this.database.all<{ name: string }>(sql, id).map(({ name }) => parseReference(name));
  }

  first(reference: Reference): Digest | undefined {
    const sql = "SELECT image_id FROM image_references WHERE name = ?";
    const found = this.database.find<{ image_id: string }>(sql, keyOf(reference));
    return found && parseDigest(found.image_id);
  }

  variants(reference: Reference): readonly Digest[] {
    const sql = "SELECT image_id FROM image_variants WHERE name = ? ORDER BY image_id";
    return this.database.all<{ image_id: string }>(sql, keyOf(reference)).map(({ image_id }) => parseDigest(image_id));
  }

  /** Makes a name mean these images and no others; none: takes it away. */
  set(reference: Reference, ids: readonly Digest[]): void {
    const name = keyOf(reference);
    const [first, ...others] = this.#sorted(ids);
    this.database.transaction(() => {
      this.database.run("DELETE FROM image_references WHERE name = ?", name);
      if (first === undefined) return;
      this.database.run("INSERT INTO image_references VALUES (?, ?)", name, first);
      for (const id of others) this.database.run("INSERT INTO image_variants VALUES (?, ?)", name, id);
    });
  }

  /**
   * Makes a name mean an image that has arrived, and of those that it means already the ones of other platforms that belong to it.
   * @param beside  came together with it; so did those to which the same index led
   */
  join(reference: Reference, id: Digest, beside: readonly Digest[]): void {
    const first = this.first(reference);
    const before = first === undefined ? [] : [first, ...this.variants(reference)];
    const own = this.#platformOf(id);
    const siblings = before.filter(
      (other) =>
        other !== id && this.#platformOf(other) !== own && (beside.includes(other) || this.#cameTogether(id, other)),
    );
    this.set(reference, [...siblings, id]);
  }

  /** A name no longer means an image; a variant takes the place of the first. */
  leave(reference: Reference, id: Digest): void {
    const first = this.first(reference);
    if (first === undefined) return;
    this.set(
      reference,
      [first, ...this.variants(reference)].filter((other) => other !== id),
    );
  }

  #cameTogether(one: Digest, other: Digest): boolean {
    const sql = `SELECT 1 FROM image_manifests WHERE image_id = ? AND digest IN
      (SELECT digest FROM image_manifests WHERE image_id = ?)`;
    return this.database.find(sql, one, other) !== undefined;
  }

  #platformOf(id: Digest): string {
    return this.database.find<{ platform: string }>("SELECT platform FROM images WHERE id = ?", id)?.platform ?? "";
  }

  /** The machine's own first; what does not run here last. */
  #sorted(ids: readonly Digest[]): readonly Digest[] {
    const worst = Number.MAX_SAFE_INTEGER;
    const suits = (id: Digest): number => {
      const platform = this.#platformOf(id);
      return platform === "" ? 0 : (rank(this.machine, parsePlatform(platform)) ?? worst);
    };
    return ids.toSorted((one, other) => suits(one) - suits(other));
  }
}
