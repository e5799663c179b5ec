/** The drop-in `docker` command: finds the engine, the command and its flags. It talks HTTP only, to any engine. */

import { Client } from "./client.ts";
import { type Command, describe } from "./command.ts";
import { execCommand, logsCommand, psCommand, rmCommand, stopCommand } from "./containers.ts";
import { helpText, parseFlags, type Specs, UsageError } from "./flags.ts";
import { imagesCommand, loadCommand, pullCommand } from "./images.ts";
import { loginCommand, logoutCommand, pushCommand, searchCommand } from "./registry.ts";
import { registryCommand } from "./registry-serve.ts";
import { runCommand } from "./run.ts";
import { infoCommand, versionCommand } from "./system.ts";

const COMMANDS: Readonly<Record<string, Command>> = {
  run: runCommand,
  exec: execCommand,
  ps: psCommand,
  logs: logsCommand,
  stop: stopCommand,
  rm: rmCommand,
  images: imagesCommand,
  pull: pullCommand,
  load: loadCommand,
  push: pushCommand,
  login: loginCommand,
  logout: logoutCommand,
  search: searchCommand,
  registry: registryCommand,
  version: versionCommand,
  info: infoCommand,
};

const GLOBAL: Specs = {
  host: { kind: "text", short: "H", help: "Daemon socket to connect to" },
  help: { kind: "bool", help: "Print usage" },
  version: { kind: "bool", short: "v", help: "Print version information and quit" },
};

const DEFAULT_HOST = "unix:///run/bosun.sock";

const overview = (usage: string): string =>
  [usage, "", ...Object.entries(COMMANDS).map(([name, { summary }]) => `  ${name.padEnd(10)}${summary}`)].join("\n");

/** @param usage  printed before the list of commands. @returns the exit code */
export async function runClient(argv: readonly string[], usage: string): Promise<number> {
  process.stdout.on("error", () => process.exit(1)); // `bosun images | head`: nobody reads any more
  let failureCode = 1;
  try {
    const global = parseFlags(argv, GLOBAL, { stopAtArgument: true });
    const [name, ...words] = global.args;
    if (name === undefined) {
      if (global.on("version")) return await versionLine(global.text("host"));
      console.log(overview(usage));
      return global.on("help") ? 0 : 1;
    }
    const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
    if (!command) throw new UsageError(`unknown command: bosun ${name}\n\nRun 'bosun --help' for more information`);
    failureCode = command.failureCode ?? 1;
    return await runCommandLine(command, words, global.text("host"));
  } catch (error) {
    const prefix = failureCode === 125 || error instanceof UsageError ? "bosun: " : ""; // as docker does it
    process.stderr.write(`${prefix}${describe(error)}\n`);
    return error instanceof UsageError ? Math.max(failureCode, 125) : failureCode;
  }
}

async function runCommandLine(command: Command, words: readonly string[], host: string | undefined): Promise<number> {
  const { stopAtArgument = false, usage, summary } = command;
  const flags = parseFlags(
    words,
    { ...command.flags, help: { kind: "bool", help: "Print usage" } },
    { stopAtArgument },
  );
  if (flags.has("help")) {
    console.log(helpText(usage, summary, command.flags));
    return 0;
  }
  const [least, most] = command.args;
  if (flags.args.length < least || flags.args.length > most)
    throw new UsageError(`wrong number of arguments.\n\nUsage:  bosun ${usage}\n\n${summary}`);
  return command.run(new Client(host ?? (process.env.DOCKER_HOST || DEFAULT_HOST)), flags);
}

async function versionLine(host: string | undefined): Promise<number> {
  return runCommandLine(versionCommand, [], host);
}
