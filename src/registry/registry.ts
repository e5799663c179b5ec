/**
 * Port: a place that images come from and go to.
 *
 * An image's name leads to a *document* (a manifest, or an index of manifests), a document names *blobs* by digest. An implementation
 * finds the host that a name means, its mirrors, scheme and authorisation, and follows redirects; callers see names and bytes only.
 * It verifies documents (digest, size); blobs are streamed unverified, as the content store verifies what it stores.
 *
 * Errors carry Docker's words: notFound (no such tag or repository, or access to it is denied), forbidden (authentication required),
 * invalid (an answer that is not of this protocol), corrupt (bytes that differ from their digest), unavailable (no connection, a
 * timeout, a server's error: trying again may help). What is pushed goes to the name's own host, never to a mirror. An aborted `signal` throws its reason. No call waits without a bound.
 */

import type { Descriptor } from "../base/oci.ts";
import type { Reference } from "../base/reference.ts";
import type { Bytes } from "../base/streams.ts";

/** What a person logs in with. At most one of password, identityToken and registryToken is used, the last given first. */
export interface Credentials {
  readonly username?: string;
  readonly password?: string;
  /** An OAuth2 refresh token, exchanged at the token server. */
  readonly identityToken?: string;
  /** A bearer token, sent to the registry as it is. */
  readonly registryToken?: string;
}

export interface Access {
  readonly credentials?: Credentials | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** A manifest or index as the registry keeps it. */
export interface Document {
  readonly descriptor: Pick<Descriptor, "mediaType" | "digest" | "size">;
  readonly bytes: Uint8Array;
}

export interface PushOptions extends Access {
  /** Bytes that are on their way so far; fewer than before when it begins anew. */
  readonly onProgress?: ((bytes: number) => void) | undefined;
}

/** A repository that a search found. */
export interface Found {
  readonly name: string;
  readonly description: string;
  readonly stars: number;
  readonly isOfficial: boolean;
  readonly isAutomated: boolean;
}

export interface Registry {
  /**
   * Asks what a reference stands for now, without fetching it where the registry allows.
   * @param reference  with a tag or a digest; a digest counts
   */
  resolve(reference: Reference, access?: Access): Promise<Document["descriptor"]>;

  /** Fetches the document that a reference names; a digest counts before a tag. At most 4 MiB. */
  document(reference: Reference, access?: Access): Promise<Document>;

  /**
   * Opens a blob of a repository at `offset` bytes. The body fails with unavailable when the connection breaks or stalls, or ends before
   * `blob.size - start` bytes; that there are not more, and that they are right, is for the content store to say.
   * @returns `start`: the offset of the first byte, 0 when the registry cannot resume
   */
  blob(
    repository: Reference,
    blob: Pick<Descriptor, "digest" | "size">,
    offset: number,
    access?: Access,
  ): Promise<{ readonly start: number; readonly body: Bytes }>;

  /** Every tag of a repository, in the registry's order. */
  tags(repository: Reference, access?: Access): Promise<readonly string[]>;

  /** @returns whether a repository has a blob already; false also where the registry does not say. */
  hasBlob(repository: Reference, blob: Pick<Descriptor, "digest" | "size">, access?: Access): Promise<boolean>;

  /**
   * Makes a blob of another repository of the same host part of this one, without sending it.
   * @returns false when the registry does not do so: the blob has to be pushed
   */
  mountBlob(
    repository: Reference,
    blob: Pick<Descriptor, "digest">,
    from: Reference,
    access?: Access,
  ): Promise<boolean>;

  /**
   * Sends a blob, as fast as the registry reads it. A connection that breaks is taken up where the registry got to, a few times.
   * @param open  the blob's bytes from an offset on; called again after a break
   * @throws      corrupt when the registry says that it got something else
   */
  pushBlob(
    repository: Reference,
    blob: Pick<Descriptor, "digest" | "size">,
    open: (offset: number) => Bytes,
    options?: PushOptions,
  ): Promise<void>;

  /**
   * Sends a manifest or index whose blobs are there, under a tag or its digest.
   * @throws corrupt when the registry says that it got something else
   */
  pushDocument(reference: Reference, document: Document, access?: Access): Promise<void>;

  /**
   * Proves credentials to a host.
   * @param domain  as of a reference: `docker.io`, `localhost:5000`
   * @returns       an identity token to be used instead of the password, where the host gives one
   * @throws        unauthorized when they are wrong
   */
  login(domain: string, credentials: Credentials, signal?: AbortSignal): Promise<string | undefined>;

  /**
   * Repositories by what they are called.
   * @param domain  undefined for Docker's own index
   * @param limit   most results, 1 to 100
   */
  search(domain: string | undefined, term: string, limit: number, access?: Access): Promise<readonly Found[]>;
}
