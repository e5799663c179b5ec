import { expect, test } from "bun:test";
import { type Duplex, duplexPair } from "node:stream";
import { frame, STDOUT } from "../../../src/api/frames.ts";
import { Recoded } from "../../../src/api/recoded.ts";

const nextChunk = (stream: Duplex): Promise<Buffer> => new Promise((resolve) => stream.once("data", resolve));

test("Recoded writes in another form, passes on what comes in, and closes with its connection", async () => {
  const [client, connection] = duplexPair();
  const recoded = new Recoded(connection, (bytes) => [frame(STDOUT, bytes)]);
  const framed = nextChunk(client);
  recoded.write("hello");
  expect(await framed).toEqual(Buffer.from(frame(STDOUT, Buffer.from("hello"))));
  const typed = nextChunk(recoded);
  client.write("typed");
  expect(String(await typed)).toBe("typed");
  const closed = Promise.withResolvers<void>();
  recoded.once("close", closed.resolve);
  connection.destroy();
  await closed.promise;
});
