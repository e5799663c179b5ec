/** What an SSH connection to an engine ends in: clients run it on the engine's host for DOCKER_HOST=ssh://…, and speak HTTP over its stdio. */

import type { Command } from "./command.ts";
import { printOutput, sendInput } from "./streams.ts";

export const dialStdioCommand: Command = {
  usage: "system dial-stdio",
  summary: "Proxy the stdio stream to the daemon connection. Should not be invoked manually.",
  flags: {},
  args: [0, 0],
  async run(client) {
    const connection = await client.dial();
    using _ = sendInput(connection);
    await printOutput(connection, true);
    return 0;
  },
};
