/** What this is, and what it was built from. */

import packageFile from "../package.json" with { type: "json" };

/** The commit of the checkout, without starting git; `unknown` in a copy that is none. */
async function commitOf(root: URL): Promise<string> {
  const read = (path: string) =>
    Bun.file(new URL(path, root))
      .text()
      .catch(() => "");
  const head = (await read(".git/HEAD")).trim();
  const hash = head.startsWith("ref: ") ? await read(`.git/${head.slice(5)}`) : head;
  return hash.trim().slice(0, 7) || "unknown";
}

export const VERSION = {
  engine: packageFile.version,
  commit: await commitOf(new URL("../", import.meta.url)),
  /** When these files were written, RFC 3339: there is no other build of TypeScript. */
  built: new Date(Bun.file(new URL("../package.json", import.meta.url)).lastModified).toISOString(),
  bun: Bun.version,
} as const;
