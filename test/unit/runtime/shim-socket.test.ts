/** Requests to a shim that goes away at the worst of times: every one has an end. */

import { expect, test } from "bun:test";
import { createServer } from "node:net";
import { join } from "node:path";
import { ask, readToEnd } from "../../../src/runtime/shim-socket.ts";
import { makeFolder } from "../../support/folder.ts";

/** A process that listens, looks at nobody, and stops listening, again and again. */
const FICKLE = `
  const { listen } = Bun;
  const path = process.argv[1];
  for (let round = 0; round < 100_000; round++) {
    const server = listen({ unix: path, socket: { open: (socket) => { if (round % 2) socket.terminate(); }, data() {} } });
    await new Promise((resolve) => setImmediate(resolve));
    server.stop(true);
  }`;

test("ask() answers or throws when the shim ends between connect and answer", async () => {
  await using folder = await makeFolder();
  const child = Bun.spawn([process.execPath, "-e", FICKLE, join(folder.path, "shim.sock")], { stderr: "inherit" });
  const outcomes = new Set<string>();
  for (
    let round = 0;
    round < 3000 || !outcomes.has("ESRCH");
    round++ // it may take its time to begin
  )
    await ask(folder.path, "wait").then(
      async (socket) => outcomes.add(await readToEnd(socket)),
      (error) => outcomes.add(error.code),
    );
  child.kill();
  expect([...outcomes].filter((outcome) => !/^(ENOENT|ECONNREFUSED|ECONNRESET|ESRCH|EPIPE)$/.test(outcome))).toEqual(
    [],
  );
  expect(outcomes).toContain("ESRCH");
}, 180_000);

test("readToEnd() gives what came before the end, and nothing of a connection that is broken already", async () => {
  await using folder = await makeFolder();
  const server = createServer((client) => {
    client.once("data", () => client.end("ok\nexit 1 0 2 3\n"));
  }).listen(join(folder.path, "shim.sock"));
  expect(await readToEnd(await ask(folder.path, "wait"))).toBe("exit 1 0 2 3\n");
  const broken = await ask(folder.path, "wait");
  broken.destroy();
  expect(await readToEnd(broken)).toBe("");
  server.close();
});
