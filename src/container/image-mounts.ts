/**
 * `--mount type=image`: the files of an image, read-only. Each mount is a read-only snapshot of its own, so that the layers stay, and is put by the
 * plan at a folder of the host's that only the container's mount namespace sees it at; from there it is bound. Source: Docker Engine 28, Mount.
 */

import { join } from "node:path";
import type { Digest } from "../base/digest.ts";
import type { Mount } from "../store/snapshot.ts";
import type { Bind } from "./config.ts";
import type { Container } from "./records.ts";

/** As a request asks for it. */
export interface ImageMountRequest {
  /** The image as the user named it. */
  readonly image: string;
  readonly target: string;
  /** What of the image is seen; empty for all of it. */
  readonly subpath: string;
}

export interface ImageMount extends ImageMountRequest {
  readonly imageId: Digest;
}

type Owner = Pick<Container, "id" | "imageMounts">;

/** The key of a snapshot. */
export const imageKey = (id: string, index: number): string => `${id}.image-${index}`;

/** Keys of all snapshots that a container has, its own first. */
export const snapshotsOf = ({ id, imageMounts = [] }: Owner): readonly string[] => [
  id,
  ...imageMounts.map((_, index) => imageKey(id, index)),
];

/** Ids of the images that it needs, its own first. */
export const imagesOf = ({
  imageId,
  imageMounts = [],
}: Pick<Container, "imageId" | "imageMounts">): readonly Digest[] => [
  imageId,
  ...imageMounts.map((mount) => mount.imageId),
];

/** The container that a snapshot belongs to. */
export const ownerOf = (key: string): string => key.replace(/\.image-\d+$/, "");

interface ImagePlaces {
  /** Before the root's. */
  readonly mounts: readonly Mount[];
  readonly binds: readonly Bind[];
}

/**
 * @param folder    of the host's; what is mounted in it is the container's alone
 * @param mountsAt  of a snapshot
 */
export async function imagePlaces(
  { id, imageMounts = [] }: Owner,
  folder: string,
  mountsAt: (key: string, target: string) => Promise<readonly Mount[]>,
): Promise<ImagePlaces> {
  const placeOf = (index: number) => join(folder, String(index));
  const mounts = await Promise.all(imageMounts.map((_, index) => mountsAt(imageKey(id, index), placeOf(index))));
  const rest = { readonly: true, propagation: "rprivate", createSource: false, nonRecursive: false } as const;
  const binds = imageMounts.map(({ target, subpath }, index) => ({
    ...{ source: placeOf(index), target, ...rest },
    ...(subpath !== "" && { below: subpath }),
  }));
  return { mounts: mounts.flat(), binds };
}
