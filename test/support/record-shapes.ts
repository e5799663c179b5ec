/**
 * Records what a real dockerd answers, as shapes, into test/golden. It needs a dockerd of nobody else's, without images:
 *
 *   bun test/support/record-shapes.ts /path/of/docker.sock
 */

import { testArchive } from "./busybox.ts";
import { type Ask, Questions } from "./shape-questions.ts";

export const GOLDEN = new URL("../golden", import.meta.url).pathname;

/** @param fetchPath  sends a request to a path such as `/v1.50/info` */
export const asking =
  (fetchPath: (path: string, init: RequestInit) => Promise<Response>): Ask =>
  (method, path, body) =>
    fetchPath(`/v1.50${path}`, {
      method,
      ...(body && { body: JSON.stringify(body), headers: { "Content-Type": "application/json" } }),
    });

async function main(socket: string): Promise<void> {
  const request = (path: string, init: RequestInit) => fetch(`http://docker${path}`, { ...init, unix: socket });
  const headers = { "Content-Type": "application/x-tar" };
  await (await request("/images/load", { method: "POST", body: testArchive(), headers })).text();
  const answers = await new Questions(asking(request)).all();
  for (const [topic, questions] of Object.entries(answers))
    await Bun.write(`${GOLDEN}/${topic}.json`, `${JSON.stringify(questions, undefined, 2)}\n`);
}

if (import.meta.main) {
  const [socket] = process.argv.slice(2);
  if (socket === undefined) throw new Error("Cannot record: say the path of dockerd's socket");
  await main(socket);
}
