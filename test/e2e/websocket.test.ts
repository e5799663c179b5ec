/** A terminal over WebSocket, through a real container: as a page in a browser has it. */

import { expect, test } from "bun:test";
import { e2e } from "../support/e2e.ts";
import { freePort } from "../support/ports.ts";

const port = freePort();

e2e(
  "websocket attach",
  (engine) => {
    /** @returns all that came, when the connection is closed */
    const talk = (id: string, query: string, say: (socket: WebSocket, text: string) => void): Promise<string> =>
      new Promise((resolve, reject) => {
        const socket = new WebSocket(`ws://127.0.0.1:${port}/v1.50/containers/${id}/attach/ws?${query}`);
        socket.binaryType = "arraybuffer";
        let text = "";
        socket.onopen = () => say(socket, text);
        socket.onmessage = ({ data }) => {
          text += Buffer.from(data);
          say(socket, text);
        };
        socket.onerror = () => reject(new Error("no connection"));
        socket.onclose = () => resolve(text);
      });

    test("a terminal: what is typed comes back, and the program's end is the connection's", async () => {
      const id = await engine.ok("run", "-dit", "--network", "none", "busybox", "sh", "-c", "read x; echo got:$x");
      const told = { done: false };
      const text = await talk(id, "stream=1&stdin=1&stdout=1", (socket) => {
        if (!told.done) socket.send("typed\n");
        told.done = true;
      });
      expect(text).toContain("got:typed\r\n");
    });

    test("without a terminal output is raw, of both streams, and whole", async () => {
      const script = "read x; head -c 3000000 /dev/zero | tr '\\0' x; echo end >&2";
      const id = await engine.ok("run", "-di", "--network", "none", "busybox", "sh", "-c", script);
      const told = { done: false };
      const text = await talk(id, "logs=1&stream=1&stdin=1&stdout=1&stderr=1", (socket) => {
        if (!told.done) socket.send("go\n");
        told.done = true;
      });
      expect(text.replaceAll("x", "")).toBe("end\n");
      expect(text.length).toBe(3_000_004);
    });
  },
  ["-H", `tcp://127.0.0.1:${port}`],
);
