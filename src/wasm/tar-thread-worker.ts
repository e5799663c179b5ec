/** The thread of tar-thread.ts: takes a tar from the ring, hashes and writes it. */

import { kindOf, messageOf } from "../base/errors.ts";
import { Ring } from "./ring.ts";
import { TarFile } from "./tar-file.ts";
import type { TarOrder, TarReply } from "./tar-thread.ts";

declare const self: Worker;

const reply = (message: TarReply): void => self.postMessage(message);

async function save({ path, memory }: TarOrder): Promise<void> {
  const ring = new Ring(memory);
  try {
    using file = new TarFile(path);
    while (ring.take((piece) => file.write(piece)));
    if (!ring.isStopped) reply({ type: "done", digest: await file.finish() });
  } catch (error) {
    ring.stop();
    reply({ type: "failed", kind: kindOf(error), message: messageOf(error) });
  }
}

self.onmessage = ({ data }: MessageEvent<TarOrder>) => void save(data);
reply({ type: "ready" });
