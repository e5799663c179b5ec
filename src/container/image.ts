/** What an image means for a container that is made from it: whether it suits, and what of it is not acted on. Pure. */

import { notFound } from "../base/errors.ts";
import type { ImageConfig, Platform } from "../base/oci.ts";
import { formatPlatform, hostPlatform, rank } from "../image/platform.ts";

/** 404, so that the client pulls the image for the platform that it wants. @throws notFound */
export function checkPlatform(name: string, offered: Platform, wanted: Platform | undefined): void {
  if (wanted && rank(wanted, offered) === undefined)
    throw notFound(
      `image with reference ${name} was found but does not provide the specified platform (${formatPlatform(wanted)})`,
    );
}

/**
 * What whoever creates a container is told: that it may not run here, and parts of the image's configuration that are not acted on yet.
 * @param wanted  the platform that was asked for
 */
export function warningsOf(image: ImageConfig, wanted: Platform | undefined): readonly string[] {
  const host = hostPlatform();
  return [
    ...(wanted === undefined && rank(host, image) === undefined
      ? [
          `The requested image's platform (${formatPlatform(image)}) does not match the detected host platform (${formatPlatform(host)}) and no specific platform was requested`,
        ]
      : []),
  ];
}
