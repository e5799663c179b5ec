/** The drop-in `docker` command: finds the engine, the command and its flags. It talks HTTP only, to any engine. */

import { exportCommand, importCommand, loadCommand, saveCommand } from "./archives.ts";
import { attachCommand, startCommand } from "./attach.ts";
import { Client } from "./client.ts";
import { type Command, describe } from "./command.ts";
import { execCommand, logsCommand, psCommand, rmCommand, stopCommand } from "./containers.ts";
import { cpCommand } from "./cp.ts";
import { createCommand } from "./create.ts";
import { dialStdioCommand } from "./dial-stdio.ts";
import { helpText, parseFlags, type Specs, UsageError } from "./flags.ts";
import { commitCommand, diffCommand, historyCommand, rmiCommand, tagCommand } from "./image-commands.ts";
import { imagesCommand } from "./image-list.ts";
import { pullCommand } from "./images.ts";
import { containerInspectCommand, imageInspectCommand, inspectCommand } from "./inspect.ts";
import { killCommand, pauseCommand, renameCommand, restartCommand, unpauseCommand, waitCommand } from "./lifecycle.ts";
import { statsCommand, topCommand } from "./looking.ts";
import { manifestInspectCommand } from "./manifest.ts";
import { NETWORK_COMMANDS, portCommand } from "./networks.ts";
import { containerPruneCommand, imagePruneCommand, systemPruneCommand } from "./prune.ts";
import { loginCommand, logoutCommand, pushCommand, searchCommand } from "./registry.ts";
import { registryCommand } from "./registry-serve.ts";
import { runCommand } from "./run.ts";
import { infoCommand, versionCommand } from "./system.ts";
import { updateCommand } from "./update.ts";
import { dfCommand, eventsCommand, fsckCommand } from "./usage.ts";
import { VOLUME_COMMANDS } from "./volumes.ts";

const COMMANDS: Readonly<Record<string, Command>> = {
  create: createCommand,
  run: runCommand,
  exec: execCommand,
  ps: psCommand,
  logs: logsCommand,
  stop: stopCommand,
  start: startCommand,
  attach: attachCommand,
  top: topCommand,
  stats: statsCommand,
  kill: killCommand,
  restart: restartCommand,
  port: portCommand,
  pause: pauseCommand,
  unpause: unpauseCommand,
  wait: waitCommand,
  rename: renameCommand,
  update: updateCommand,
  rm: rmCommand,
  images: imagesCommand,
  pull: pullCommand,
  rmi: rmiCommand,
  tag: tagCommand,
  history: historyCommand,
  save: saveCommand,
  load: loadCommand,
  import: importCommand,
  export: exportCommand,
  commit: commitCommand,
  cp: cpCommand,
  diff: diffCommand,
  inspect: inspectCommand,
  events: eventsCommand,
  push: pushCommand,
  login: loginCommand,
  logout: logoutCommand,
  search: searchCommand,
  registry: registryCommand,
  version: versionCommand,
  info: infoCommand,
};

/** The same by topic: `image ls` is `images`. */
const GROUPS: Readonly<Record<string, Readonly<Record<string, Command>>>> = {
  image: {
    ls: imagesCommand,
    list: imagesCommand,
    inspect: imageInspectCommand,
    history: historyCommand,
    import: importCommand,
    load: loadCommand,
    prune: imagePruneCommand,
    pull: pullCommand,
    push: pushCommand,
    rm: rmiCommand,
    save: saveCommand,
    tag: tagCommand,
  },
  container: {
    attach: attachCommand,
    start: startCommand,
    stats: statsCommand,
    top: topCommand,
    commit: commitCommand,
    create: createCommand,
    cp: cpCommand,
    diff: diffCommand,
    exec: execCommand,
    export: exportCommand,
    inspect: containerInspectCommand,
    kill: killCommand,
    logs: logsCommand,
    list: psCommand,
    ls: psCommand,
    pause: pauseCommand,
    port: portCommand,
    prune: containerPruneCommand,
    ps: psCommand,
    rename: renameCommand,
    restart: restartCommand,
    rm: rmCommand,
    run: runCommand,
    stop: stopCommand,
    unpause: unpauseCommand,
    update: updateCommand,
    wait: waitCommand,
  },
  manifest: { inspect: manifestInspectCommand },
  system: {
    df: dfCommand,
    "dial-stdio": dialStdioCommand,
    events: eventsCommand,
    fsck: fsckCommand,
    info: infoCommand,
    prune: systemPruneCommand,
  },
  network: NETWORK_COMMANDS,
  volume: VOLUME_COMMANDS,
};

/** @returns the command, and what is left of the line. @throws UsageError */
function commandOf([name = "", ...words]: readonly string[]): readonly [command: Command, words: readonly string[]] {
  const unknown = (line: string) =>
    new UsageError(`unknown command: bosun ${line}\n\nRun 'bosun --help' for more information`);
  const group = Object.hasOwn(GROUPS, name) ? GROUPS[name] : undefined;
  const commands = group ?? COMMANDS;
  const [key = "", ...rest] = group ? words : [name, ...words];
  const command = Object.hasOwn(commands, key) ? commands[key] : undefined;
  if (command) return [command, rest];
  if (group && (key === "" || key === "--help"))
    throw new UsageError(`bosun ${name} COMMAND, one of: ${Object.keys(group).join(", ")}`);
  throw unknown(group ? `${name} ${key}` : name);
}

const GLOBAL: Specs = {
  host: { kind: "text", short: "H", help: "Daemon socket to connect to" },
  help: { kind: "bool", help: "Print usage" },
  version: { kind: "bool", short: "v", help: "Print version information and quit" },
};

const DEFAULT_HOST = "unix:///run/bosun.sock";

const overview = (usage: string): string =>
  [
    usage,
    "",
    `  ${Object.keys(GROUPS).join(", ")}: the same and more, by topic`,
    "",
    ...Object.entries(COMMANDS).map(([name, { summary }]) => `  ${name.padEnd(10)}${summary}`),
  ].join("\n");

/** @param usage  printed before the list of commands. @returns the exit code */
export async function runClient(argv: readonly string[], usage: string): Promise<number> {
  process.stdout.on("error", () => process.exit(1)); // `bosun images | head`: nobody reads any more
  let failureCode = 1;
  try {
    const global = parseFlags(argv, GLOBAL, { stopAtArgument: true });
    if (global.args.length === 0) {
      if (global.on("version")) return await versionLine(global.text("host"));
      console.log(overview(usage));
      return global.on("help") ? 0 : 1;
    }
    const [command, words] = commandOf(global.args);
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
