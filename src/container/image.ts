/** What an image means for a container that is made from it: whether it suits, and what of it is not acted on. Pure. */

import { notFound } from "../base/errors.ts";
import type { ImageConfig, Platform } from "../base/oci.ts";
import { formatPlatform, rank } from "../image/platform.ts";

/** 404, so that the client pulls the image for the platform that it wants. @throws notFound */
export function checkPlatform(name: string, offered: Platform, wanted: Platform | undefined): void {
  if (wanted && rank(wanted, offered) === undefined)
    throw notFound(
      `image with reference ${name} was found but does not provide the specified platform (${formatPlatform(wanted)})`,
    );
}

/** Parts of an image's configuration that this engine does not act on yet; whoever creates a container is told. */
export function warningsOf({ config }: ImageConfig): readonly string[] {
  const volumes = Object.keys(config?.Volumes ?? {});
  return [
    ...(config?.Healthcheck?.Test && config.Healthcheck.Test[0] !== "NONE"
      ? ["The image's HEALTHCHECK is not run yet."]
      : []),
    ...(volumes.length > 0
      ? [`Volumes of the image are not separate yet: ${volumes.join(", ")} stay in the container's layer.`]
      : []),
  ];
}
