/**
 * `docker commit`: what a container has changed becomes a layer, what it was told becomes the configuration of a new image.
 * Source of the rules: Docker Engine API, ImageCommit; wire-notes section 6.
 */

import type { Digest } from "../base/digest.ts";
import { conflict, kindOf } from "../base/errors.ts";
import type { ImageConfig, RunConfig } from "../base/oci.ts";
import { familiarReference, type Reference } from "../base/reference.ts";
import { applyChanges } from "../image/changes.ts";
import type { MakeLayer, NewImage } from "../image/commit.ts";
import { hostPlatform } from "../image/platform.ts";
import type { Snapshots } from "../store/snapshot.ts";
import type { ContainerCgroups } from "./cgroups.ts";
import { completed, runConfigOf } from "./committed-config.ts";
import type { ContainerImage, Containers } from "./containers.ts";
import { MOUNT_POINTS } from "./isolation.ts";
import type { Container } from "./records.ts";

export interface CommitRequest {
  readonly reference: Reference | undefined;
  readonly comment: string;
  readonly author: string;
  /** Whether its processes stand still meanwhile. */
  readonly pause: boolean;
  /** Dockerfile instructions. */
  readonly changes: readonly string[];
  /** In place of the container's own; what it leaves out comes from there. */
  readonly config: RunConfig | undefined;
  /** The container's configuration as an inspect tells it, which the image keeps. */
  readonly describe: (container: Container) => object;
}

export interface CommitsOptions {
  readonly containers: Containers;
  readonly cgroups: Pick<ContainerCgroups, "freeze" | "thaw">;
  readonly snapshotter: Pick<Snapshots, "commit" | "layersOf">;
  /** @throws notFound */
  readonly findImage: (id: Digest) => Promise<ContainerImage>;
  readonly makeImage: (image: NewImage, makeLayer: MakeLayer) => Promise<Digest>;
}

export class Commits {
  readonly #options: CommitsOptions;

  constructor(options: CommitsOptions) {
    this.#options = options;
  }

  /** @returns the image's id. @throws notFound, conflict, invalid; nothing is left then */
  async commit(reference: string, request: CommitRequest): Promise<Digest> {
    const { containers, snapshotter, findImage, makeImage } = this.#options;
    const container = containers.get(reference);
    const { id, state, config } = container;
    if (state.phase === "removing" || state.phase === "dead")
      throw conflict(`You cannot commit container ${id} which is ${state.phase}`);
    const { id: parent, config: image } = await findImage(container.imageId).catch((error) => this.#gone(id, error));
    const own = runConfigOf(config, image.config);
    const changed = completed(applyChanges(request.config ?? own, request.changes), own);
    await using _ = await this.#paused(container, request.pause);
    const made = await makeImage(
      {
        platform: image,
        parent,
        layers: image.rootfs.diff_ids,
        history: image.history ?? [],
        config: changed,
        author: request.author,
        comment: request.comment,
        createdBy: config.cmd.join(" "),
        origin: { id, config: request.describe(container) },
        reference: request.reference,
      },
      () => snapshotter.commit(id, { except: MOUNT_POINTS }),
    );
    containers.emit(container, "commit", {
      comment: request.comment,
      imageID: made,
      imageRef: request.reference ? familiarReference(request.reference) : "",
    });
    return made;
  }

  /**
   * What is still known of an image that was removed by force: the layers, since the container stands on them. Only images that could run here
   * have containers with changes, so the platform is the machine's.
   */
  async #gone(id: string, error: unknown): Promise<{ readonly id?: Digest; readonly config: ImageConfig }> {
    if (kindOf(error) !== "notFound") throw error;
    const layers = await this.#options.snapshotter.layersOf(id);
    const history = layers.map(() => ({ comment: "of an image that was removed" }));
    return { config: { ...hostPlatform(), rootfs: { type: "layers", diff_ids: layers }, history } };
  }

  /** Dispose of it to let the processes go on. One that ends meanwhile needs nothing, one that is paused meanwhile stays so. */
  async #paused({ id, state }: Container, wanted: boolean): Promise<AsyncDisposable> {
    await using undo = new AsyncDisposableStack();
    const unlessGone = (error: unknown) => {
      if (kindOf(error) !== "notFound") throw error;
    };
    const { cgroups } = this.#options;
    if (wanted && state.phase === "running") {
      undo.defer(async () => {
        if (this.#options.containers.records.find(id)?.state.phase !== "paused")
          await cgroups.thaw(id).catch(unlessGone);
      });
      await cgroups.freeze(id).catch(unlessGone);
    }
    return undo.move();
  }
}
