/** What programs of vendors (CDI's hooks) find out about a container: its state on stdin, and a bundle. Source: runtime-spec runtime.md, "State". */

const SPEC_VERSION = "1.2.0";

/** @param bundle  the folder with `config.json`. @returns the state as JSON, before and after the process's own pid */
export function hookState(id: string, bundle: string): readonly [before: string, after: string] {
  const [before = "", after = ""] = JSON.stringify({
    ...{ ociVersion: SPEC_VERSION, id, status: "creating", pid: 0, bundle },
  }).split('"pid":0');
  return [`${before}"pid":`, after];
}

/** As much of a bundle's config.json as leads to the root. @param rootfs  where it is mounted in the container's mount namespace */
export const bundleFor = (rootfs: string) => ({ ociVersion: SPEC_VERSION, root: { path: rootfs }, annotations: {} });
