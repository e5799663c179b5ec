/**
 * What `docker rmi` does: untags, and removes the image when nothing names it any more. Rules, order and words are dockerd's.
 * Source: moby daemon/images/image_delete.go; wire-notes section 6.
 */

import type { Digest } from "../base/digest.ts";
import { type BosunError, conflict } from "../base/errors.ts";
import { shortId } from "../base/ids.ts";
import { familiarReference, parseReference, type Reference, repositoryOf, withDefaultTag } from "../base/reference.ts";
import type { ImageRecord } from "./records.ts";

/** A container made from an image. */
export interface ImageUser {
  readonly id: string;
  /** Paused counts as running. */
  readonly running: boolean;
}

export type Removed = { readonly untagged: string } | { readonly deleted: string };

/** What a removal changes; performed in one transaction by the caller. */
export interface RemovalPlan {
  readonly untag: readonly Reference[];
  readonly deletes: boolean;
}

const isCanonical = ({ digest }: Reference): boolean => digest !== undefined;

/** Whether everything that names an image names it once: one repository, at most one tag. */
function isSingle(references: readonly Reference[]): boolean {
  const tags = references.filter((reference) => !isCanonical(reference));
  const repositories = new Set(references.map(repositoryOf));
  return references.length > 0 && tags.length <= 1 && repositories.size === 1;
}

const isIdPrefix = (id: Digest, name: string): boolean =>
  id.startsWith(name) || id.slice("sha256:".length).startsWith(name);

const undeletable = (id: Digest, force: string, why: string): BosunError =>
  conflict(`conflict: unable to delete ${shortId(id)} (${force}) - ${why}`);

function runningConflict({ id }: ImageRecord, users: readonly ImageUser[]): BosunError | undefined {
  const user = users.find(({ running }) => running);
  return user && undeletable(id, "cannot be forced", `image is being used by running container ${shortId(user.id)}`);
}

function stoppedConflict({ id }: ImageRecord, users: readonly ImageUser[]): BosunError | undefined {
  const user = users.find(({ running }) => !running);
  return user && undeletable(id, "must be forced", `image is being used by stopped container ${shortId(user.id)}`);
}

/** By id: all references go with the image, if they are one name or force is used. */
function planById(image: ImageRecord, users: readonly ImageUser[], force: boolean): RemovalPlan {
  const { id, references } = image;
  const running = runningConflict(image, users);
  if (running) throw running;
  if (!force && references.length > 0 && !isSingle(references))
    throw undeletable(id, "must be forced", "image is referenced in multiple repositories");
  const stopped = force ? undefined : stoppedConflict(image, users);
  if (stopped) throw stopped;
  return { untag: references, deletes: true };
}

/** By name: that name goes, and the image with the last one, unless a container keeps it. */
function planByName(image: ImageRecord, name: string, users: readonly ImageUser[], force: boolean): RemovalPlan {
  const user = users[0];
  if (!force && isSingle(image.references) && user)
    throw conflict(
      `conflict: unable to remove repository reference ${JSON.stringify(name)} (must force) - ` +
        `container ${shortId(user.id)} is using its referenced image ${shortId(image.id)}`,
    );
  const named = withDefaultTag(parseReference(name));
  const key = familiarReference(isCanonical(named) ? withoutTag(named) : named);
  const first = image.references.filter((reference) => familiarReference(reference) === key);
  const rest = image.references.filter((reference) => !first.includes(reference));
  const here = rest.filter((reference) => repositoryOf(reference) === repositoryOf(named));
  // With the last tag of a repository its digests go too.
  const digests = isCanonical(named) || here.some((reference) => !isCanonical(reference)) ? [] : here;
  return {
    untag: [...first, ...digests],
    // Force takes it from a stopped container, never from a running one.
    deletes: rest.length === digests.length && !users.some(({ running }) => running || !force),
  };
}

const withoutTag = ({ domain, path, digest }: Reference): Reference =>
  digest === undefined ? { domain, path } : { domain, path, digest };

/**
 * @param name  as the user wrote it: an id, its beginning, or a reference
 * @throws      conflict
 */
export const planRemoval = (
  image: ImageRecord,
  name: string,
  users: readonly ImageUser[],
  force: boolean,
): RemovalPlan => (isIdPrefix(image.id, name) ? planById(image, users, force) : planByName(image, name, users, force));
