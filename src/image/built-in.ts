/** The image that needs no network: `bosun/hello`, one program that greets. It shows on a new machine that everything works. */

import { type Digest, digestOf } from "../base/digest.ts";
import type { ImageConfig } from "../base/oci.ts";
import { parseReference } from "../base/reference.ts";
import { bytesOf } from "../base/streams.ts";
import { tarOfFile } from "../base/tar.ts";
import type { ContentStore } from "../store/content.ts";
import type { Intake } from "./intake.ts";
import { hostPlatform } from "./platform.ts";
import type { Sweeper } from "./sweep.ts";

const builtInName = "bosun/hello:latest";

/** The same program always makes the same image. */
const created = "1970-01-01T00:00:00Z";

function configOf(diffId: Digest): Uint8Array {
  const config: ImageConfig = {
    ...hostPlatform(),
    created,
    config: { Cmd: ["/hello"], Env: ["PATH=/"], WorkingDir: "/" },
    rootfs: { type: "layers", diff_ids: [diffId] },
    history: [
      { created, created_by: "COPY hello /hello" },
      { created, created_by: 'CMD ["/hello"]', empty_layer: true },
    ],
  };
  return new TextEncoder().encode(JSON.stringify(config));
}

/**
 * Makes the image present under its name. Idempotent.
 * @param program  a static executable for this machine
 */
export async function addBuiltIn(
  program: Uint8Array,
  content: ContentStore,
  intake: Intake,
  sweeper: Sweeper,
): Promise<Digest> {
  const tar = tarOfFile("hello", program, 0o755);
  const diffId = digestOf(tar);
  const config = configOf(diffId);
  const reference = parseReference(builtInName);
  const known = intake.records.findByReference(reference);
  if (known?.id === digestOf(config)) return known.id;
  try {
    using _ = await sweeper.hold({ blobs: [diffId] });
    const source = async () => ({ start: 0, body: bytesOf(tar) });
    const { path } = await content.put({ digest: diffId, size: tar.byteLength }, source, { durable: false });
    return await intake.add({ config, layers: [{ path }], references: [reference], documents: [] });
  } finally {
    await sweeper.discard({ blobs: [diffId] });
  }
}
