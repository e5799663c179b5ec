/** `network doctor`, of Bosun alone: why a name or a port does not work. */

import type { Command } from "./command.ts";

interface Finding {
  readonly Level: "ok" | "warning" | "problem";
  readonly Text: string;
  readonly Advice: string;
}

const MARKS = { ok: "ok     ", warning: "note   ", problem: "PROBLEM" } as const;

export const doctorCommand: Command = {
  usage: "network doctor [CONTAINER]",
  summary: "Explain why a container's names or ports do not work; exits with 1 when there is a problem",
  flags: { quiet: { kind: "bool", short: "q", help: "Only what is wrong" } },
  args: [0, 1],
  async run(client, flags) {
    const [container = ""] = flags.args;
    const { Findings } = await client.get<{ readonly Findings: readonly Finding[] }>("/bosun/network/doctor", {
      container,
    });
    for (const { Level, Text, Advice } of Findings) {
      if (flags.on("quiet") && Level === "ok") continue;
      console.log(`${MARKS[Level]} ${Text}${Advice === "" ? "" : `\n        → ${Advice}`}`);
    }
    return Findings.some(({ Level }) => Level === "problem") ? 1 : 0;
  },
};
