/** Requests to a running shim: one line on a connection of its own to `<rundir>/shim.sock`. */

import { closeSync, openSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { constants } from "node:os";
import { internal } from "../base/errors.ts";
import { SystemError } from "../base/system-error.ts";

/** A refusal by the shim. */
export class RequestError extends SystemError {
  override readonly name = "RequestError";
}

const { ESRCH } = constants.errno;

/** A path of any length: the socket is named through a descriptor of its directory, since its address holds 107 bytes. */
async function connectIn(directory: string): Promise<Socket> {
  const fd = openSync(directory, "r");
  const socket = connect({ path: `/proc/self/fd/${fd}/shim.sock`, allowHalfOpen: true });
  await new Promise<void>((resolve, reject) => socket.once("connect", resolve).once("error", reject)).finally(() =>
    closeSync(fd),
  );
  socket.removeAllListeners("error");
  socket.on("error", () => socket.destroy()); // a connection that breaks is one that ends
  return socket;
}

/** Reads up to the first newline; what follows stays in the socket. @returns undefined when it ends before */
function readLine(socket: Socket): Promise<string | undefined> {
  return new Promise((resolve) => {
    let seen = Buffer.alloc(0);
    const finish = (line: string | undefined) => {
      // With no `readable` listener left the stream is as new: neither paused nor flowing.
      socket.off("readable", onReadable).off("end", onEnd).off("close", onEnd);
      resolve(line);
    };
    const onEnd = () => finish(undefined);
    const onReadable = () => {
      for (let chunk: Buffer | null = socket.read(); chunk !== null; chunk = socket.read()) {
        seen = Buffer.concat([seen, chunk]);
        const end = seen.indexOf(10);
        if (end < 0) continue;
        if (end + 1 < seen.length) socket.unshift(seen.subarray(end + 1));
        finish(seen.subarray(0, end).toString());
        return;
      }
    };
    socket.on("readable", onReadable).on("end", onEnd).on("close", onEnd);
    if (socket.destroyed) onEnd(); // it broke before anybody listened
  });
}

/**
 * @param request  as `kill 9`
 * @returns        the connection behind the answer `ok`, neither paused nor flowing, half-close both ways
 * @throws RequestError when the shim refuses or has just ended (ESRCH); ENOENT, ECONNREFUSED when there is none
 */
export async function ask(directory: string, request: string): Promise<Socket> {
  const socket = await connectIn(directory);
  socket.write(`${request}\n`);
  const line = await readLine(socket);
  if (line === "ok" || line?.startsWith("ok ")) return socket;
  socket.destroy();
  if (line === undefined) throw new RequestError(request, ESRCH);
  const error = /^error (\d+)$/.exec(line);
  if (!error) throw internal(`Cannot read the shim's answer ${JSON.stringify(line)} to ${request}`);
  throw new RequestError(request, Number(error[1]));
}

/** @returns what the shim still says, as text, when the connection has ended */
export function readToEnd(socket: Socket): Promise<string> {
  return new Promise((resolve) => {
    let text = "";
    socket.on("data", (chunk: Buffer) => {
      text += chunk.toString();
    });
    socket.on("end", () => socket.destroy());
    socket.on("close", () => resolve(text));
    if (socket.destroyed) resolve(text); // it broke before anybody listened
    socket.resume();
  });
}
