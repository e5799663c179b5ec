/** `bosun run`: create (pulling what is missing), attach, wait, start, in the order that loses neither output nor exit code. */

import { attach, type Streams } from "./attach.ts";
import { type Client, DaemonError } from "./client.ts";
import type { Command } from "./command.ts";
import { attachedTo, CREATE_FLAGS, create } from "./create.ts";
import type { Flags, Specs } from "./flags.ts";

/** Beside those of create. */
const FLAGS: Specs = {
  detach: { kind: "bool", short: "d", help: "Run container in background and print container ID" },
  "detach-keys": { kind: "text", help: "Override the key sequence for detaching" },
  "sig-proxy": { kind: "bool", help: "Proxy received signals to the process (default true)" },
};

/** docker's exit codes for a container that did not start. */
function startFailureCode(message: string): number {
  if (/executable file not found|no such file or directory/i.test(message)) return 127;
  if (/permission denied|is a directory/i.test(message)) return 126;
  return 125;
}

const runAttached = (client: Client, flags: Flags, id: string, streams: Streams): Promise<number> =>
  attach(client, {
    ...{ id, streams, tty: flags.on("tty"), detachKeys: flags.text("detach-keys") },
    forwardsSignals: flags.on("sig-proxy", true),
    condition: flags.on("rm") ? "removed" : "next-exit",
    start: () => client.request("POST", `/containers/${id}/start`),
  });

export const runCommand: Command = {
  usage: "run [OPTIONS] IMAGE [COMMAND] [ARG...]",
  summary: "Create and run a new container from an image",
  flags: { ...CREATE_FLAGS, ...FLAGS },
  args: [1, Number.POSITIVE_INFINITY],
  stopAtArgument: true,
  failureCode: 125,
  async run(client, flags) {
    const attached = attachedTo(flags);
    const id = await create(client, flags, attached);
    try {
      if (attached.stdin || attached.stdout || attached.stderr) return await runAttached(client, flags, id, attached);
      await client.request("POST", `/containers/${id}/start`);
      console.log(id);
      return 0;
    } catch (error) {
      if (!(error instanceof DaemonError)) throw error;
      process.stderr.write(`bosun: Error response from daemon: ${error.message}\n`);
      return startFailureCode(error.message);
    }
  },
};
