/** The terminal's side of a container's stdio: demultiplexing, raw mode, and telling the window's size. */

import type { Duplex } from "node:stream";

const STDERR = 2;
const SYSTEM_ERROR = 3;

/** Writes and waits while the reader is slow. */
const write = (out: NodeJS.WriteStream, bytes: Uint8Array): Promise<void> =>
  new Promise((resolve, reject) => {
    out.write(bytes, (error) => (error ? reject(error) : resolve()));
  });

/** Frames of 8 bytes head and payload → stdout and stderr. @throws Error with what the daemon says in a frame of its own */
async function demultiplex(chunks: AsyncIterable<Uint8Array>): Promise<void> {
  let rest: Buffer = Buffer.alloc(0);
  for await (const chunk of chunks) {
    rest = Buffer.concat([rest, chunk]);
    while (rest.length >= 8) {
      const size = rest.readUInt32BE(4);
      if (rest.length < 8 + size) break;
      const payload = rest.subarray(8, 8 + size);
      if (rest[0] === SYSTEM_ERROR) throw new Error(`error from daemon in stream: ${payload}`);
      await write(rest[0] === STDERR ? process.stderr : process.stdout, payload);
      rest = rest.subarray(8 + size);
    }
  }
}

/** Prints a container's output. @param tty  whether it is raw */
export async function printOutput(chunks: AsyncIterable<Uint8Array>, tty: boolean): Promise<void> {
  if (!tty) return demultiplex(chunks);
  for await (const chunk of chunks) await write(process.stdout, chunk);
}

/** Keys go through as they are until this is disposed. */
export function rawTerminal(): Disposable {
  const { stdin } = process;
  if (!stdin.isTTY) return { [Symbol.dispose]() {} };
  stdin.setRawMode(true);
  return { [Symbol.dispose]: () => void stdin.setRawMode(false) };
}

/** Gives our stdin to a stream and ends it with ours. */
export function sendInput(stream: Duplex): Disposable {
  const { stdin } = process;
  stdin.pipe(stream);
  return {
    [Symbol.dispose]() {
      stdin.unpipe(stream);
      stdin.pause();
      stdin.unref?.();
    },
  };
}

/** Rows and columns of our terminal; undefined without one. */
export const windowSize = (): readonly [rows: number, columns: number] | undefined =>
  process.stdout.isTTY ? [process.stdout.rows, process.stdout.columns] : undefined;

/** Tells the window's size now and at every change. */
export function followSize(tell: (rows: number, columns: number) => Promise<unknown>): Disposable {
  const onChange = () => {
    const size = windowSize();
    if (size) void tell(...size).catch(() => {}); // the container may have ended
  };
  onChange();
  process.on("SIGWINCH", onChange);
  return { [Symbol.dispose]: () => void process.off("SIGWINCH", onChange) };
}
