/** `manifest inspect`: an image's manifest as its registry has it, asked for by the engine. */

import { familiarReference, formatReference, parseReference, repositoryOf, withDefaultTag } from "../base/reference.ts";
import type { Client } from "./client.ts";
import type { Command } from "./command.ts";
import { authHeaders } from "./credentials.ts";

interface Descriptor {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
  readonly platform?: object;
}

interface Told {
  readonly Descriptor: Descriptor;
  readonly Platforms: readonly object[];
  /** Base64 of the document's bytes. An extension: Docker's engine leaves it out. */
  readonly Raw?: string;
}

interface Found extends Told {
  readonly Raw: string;
  readonly document: { readonly manifests?: readonly Descriptor[] };
}

async function find(client: Client, name: string): Promise<Found> {
  const path = `/distribution/${name}/json`;
  const response = await client.request("GET", path, { query: { raw: "1" }, headers: authHeaders(name) });
  const told = (await response.json()) as Told;
  if (told.Raw === undefined)
    throw new Error("this engine tells a manifest's digest and platforms, but not the manifest");
  return { ...told, Raw: told.Raw, document: JSON.parse(Buffer.from(told.Raw, "base64").toString()) };
}

const isDocker = (mediaType: string): boolean => mediaType.startsWith("application/vnd.docker.");

/** As docker tells one image verbosely. */
const verbose = (ref: string, { Descriptor, Raw, document }: Found, platform: object | undefined) => ({
  Ref: ref,
  Descriptor: { ...Descriptor, ...(platform && { platform }) },
  Raw,
  [isDocker(Descriptor.mediaType) ? "SchemaV2Manifest" : "OCIManifest"]: document,
});

async function verboseAll(client: Client, name: string, top: Found): Promise<unknown> {
  const { manifests } = top.document;
  const reference = parseReference(name);
  const ref = formatReference(reference);
  if (!manifests) return verbose(ref, top, top.Platforms[0]);
  const repository = repositoryOf(reference);
  const images: unknown[] = [];
  for (const { digest, platform } of manifests) {
    const found = await find(client, `${repository}@${digest}`);
    images.push(verbose(`${reference.digest === undefined ? ref : repository}@${digest}`, found, platform));
  }
  return images;
}

export const manifestInspectCommand: Command = {
  usage: "manifest inspect [OPTIONS] MANIFEST",
  summary: "Display an image manifest, or manifest list",
  flags: { verbose: { kind: "bool", short: "v", help: "Output additional info including layers and platform" } },
  args: [1, 1],
  async run(client, flags) {
    const name = familiarReference(withDefaultTag(parseReference(flags.args[0] ?? "")));
    const found = await find(client, name);
    const shown = flags.on("verbose") ? await verboseAll(client, name, found) : found.document;
    console.log(JSON.stringify(shown, null, "\t"));
    return 0;
  },
};
