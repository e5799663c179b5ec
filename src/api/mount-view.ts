/** What a container mounts, as clients see it. Source: Docker Engine API, MountPoint. */

import { isObject } from "../base/objects.ts";
import type { Container } from "../container/records.ts";

/** Of a `--mount type=tmpfs`; `--tmpfs` is not told of, as with Docker. */
function tmpfsOf({ host }: Container) {
  return host.mountSpecs
    .filter(isObject)
    .filter(({ Type }) => Type === "tmpfs")
    .map(({ Target, ReadOnly }) => ({
      Type: "tmpfs",
      Source: "",
      Destination: String(Target),
      Mode: "",
      RW: ReadOnly !== true,
      Propagation: "",
    }));
}

/** @param volumePath  where a volume's files are on the host */
export function mountsOf(container: Container, volumePath: (name: string) => string) {
  const { host, volumes = [], imageMounts = [] } = container;
  return [
    ...host.binds.map(({ source, target, readonly, propagation }) => ({
      Type: "bind",
      Source: source,
      Destination: target,
      Mode: readonly ? "ro" : "",
      RW: !readonly,
      Propagation: propagation,
    })),
    ...volumes.map(({ name, target, driver, mode, readonly }) => ({
      Type: "volume",
      Name: name,
      Source: volumePath(name),
      Destination: target,
      Driver: driver,
      Mode: mode,
      RW: !readonly,
      Propagation: "",
    })),
    ...imageMounts.map(({ image, imageId, target }) => ({
      Type: "image",
      Name: image,
      Source: imageId,
      Destination: target,
      Mode: "",
      RW: false,
      Propagation: "",
    })),
    ...tmpfsOf(container),
  ];
}

/** @param wanted  the name of a volume, a path of the host's, or one in the container */
export function hasVolume({ host, volumes = [] }: Container, wanted: string): boolean {
  return (
    volumes.some(({ name, target }) => name === wanted || target === wanted) ||
    host.binds.some(({ source, target }) => source === wanted || target === wanted) ||
    Object.keys(host.tmpfs).includes(wanted)
  );
}
