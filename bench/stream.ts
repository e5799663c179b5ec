/**
 * One TCP stream, as fast as it goes: `stream.ts serve PORT` swallows it and tells `listening`; `stream.ts send HOST PORT SECONDS` sends, and prints
 * how many MB/s got through. Run in a container's network namespace, so that no image has to bring a program.
 */

const PIECE = new Uint8Array(256 << 10);

function serve(port: number): void {
  Bun.listen({ hostname: "0.0.0.0", port, socket: { data() {} } });
  console.log("listening");
}

/** Fills the socket whenever it has room. */
async function send(hostname: string, port: number, seconds: number): Promise<void> {
  let sent = 0;
  const started = performance.now();
  const isOver = () => performance.now() - started > seconds * 1000;
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const fill = (socket: Bun.Socket) => {
    for (;;) {
      if (isOver()) {
        socket.terminate();
        return resolve();
      }
      const wrote = socket.write(PIECE);
      sent += Math.max(0, wrote);
      if (wrote < PIECE.length) return undefined;
    }
  };
  await Bun.connect({
    hostname,
    port,
    socket: { open: fill, drain: fill, data() {}, error: (_, error) => reject(error) },
  });
  await promise;
  console.log((sent / 1e6 / ((performance.now() - started) / 1000)).toFixed(0));
}

export {}; // a module, so that it may wait

const [mode, ...words] = process.argv.slice(2);
if (mode === "serve") serve(Number(words[0]));
else await send(words[0] ?? "", Number(words[1]), Number(words[2]));
