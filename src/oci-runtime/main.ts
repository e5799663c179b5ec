/**
 * `bosun-runtime`: an OCI runtime by its command line, for containerd, Podman and CRI-O. It is called four or five times in a container's life and
 * stays for none of it: what it imports is what its start costs, so the engine is not among it.
 */

import { writeSync } from "node:fs";
import packageJson from "../../package.json" with { type: "json" };
import { invalid, messageOf, notImplemented } from "../base/errors.ts";
import { openCgroups } from "../runtime/cgroup.ts";
import { COMMANDS, type Command } from "./commands.ts";
import { SPEC_VERSION } from "./config.ts";
import { type Flag, flagHelp, type Parsed, parseFlags } from "./flags.ts";
import { Lifecycle } from "./lifecycle.ts";
import { type Log, openLog } from "./log.ts";
import { States } from "./state.ts";

const ROOT = "/run/bosun-runtime";

const HELP: Flag = { name: "help", short: "h", help: "this" };

const GLOBAL_FLAGS: readonly Flag[] = [
  { name: "root", value: "DIR", help: `where containers are remembered, ${ROOT} by default` },
  { name: "log", value: "FILE", help: "file for what went wrong" },
  { name: "log-format", value: "FORMAT", help: "text or json" },
  { name: "debug", help: "tell more" },
  { name: "systemd-cgroup", help: "refused: cgroups are made by their files" },
  { name: "rootless", value: "VALUE", help: "false or auto; true is refused" },
  HELP,
  { name: "version", short: "v", help: "tell the version" },
];

function usage(): string {
  const commands = Object.entries(COMMANDS).map(([name, { help }]) => `   ${name.padEnd(12)} ${help}\n`);
  return `Usage: bosun-runtime [global options] command [options] [arguments]\n\nCommands:\n${commands.join("")}\nGlobal options:\n${flagHelp(GLOBAL_FLAGS)}`;
}

const version = (): string => `bosun-runtime version ${packageJson.version}\nspec: ${SPEC_VERSION}\n`;

function refuse(globals: Parsed): void {
  if (globals.has("systemd-cgroup"))
    throw notImplemented("--systemd-cgroup is not supported: cgroups are made by their files");
  if (globals.text("rootless") === "true") throw notImplemented("--rootless is not supported: this runtime needs root");
  const format = globals.text("log-format") ?? "text";
  if (format !== "text" && format !== "json") throw invalid(`invalid log-format: ${format}`);
}

/** Refused before anything is done, in urfave/cli's words. */
function checkArguments(name: string, { least, most }: Command, { args }: Parsed): void {
  if (args.length < least)
    throw invalid(
      `${name}: ${JSON.stringify(`bosun-runtime ${name}`)} requires a minimum of ${least} argument${least === 1 ? "" : "s"}`,
    );
  if (args.length > most)
    throw invalid(
      `${name}: ${JSON.stringify(`bosun-runtime ${name}`)} requires a maximum of ${most} argument${most === 1 ? "" : "s"}`,
    );
}

async function perform(globals: Parsed, log: Log): Promise<number> {
  const [name = "", ...words] = globals.args;
  if (globals.has("version")) return say(version());
  if (globals.has("help") || name === "" || name === "help") return say(usage());
  const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  if (command === undefined) throw invalid(`No help topic for '${name}'`);
  const flags = parseFlags([...command.flags, HELP], words);
  if (flags.has("help"))
    return say(`Usage: bosun-runtime ${name} [options] ${command.usage}\n\n${flagHelp(command.flags)}`);
  checkArguments(name, command, flags);
  refuse(globals);
  const lifecycle = new Lifecycle(new States(globals.text("root") ?? ROOT), openCgroups(), (message) =>
    log.warn(message),
  );
  return command.run(lifecycle, flags);
}

const say = (text: string): number => {
  writeSync(1, text);
  return 0;
};

/** What callers look for in the message: what runc puts before it. */
const PREFIXES: Readonly<Record<string, string>> = {
  create: "unable to start container process: ",
  run: "unable to start container process: ",
  start: "unable to start container process: ",
  exec: "exec failed: unable to start container process: ",
};

function told(command: string, error: unknown): string {
  const prefix = error instanceof Error && error.name === "PlanError" ? (PREFIXES[command] ?? "") : "";
  return `${prefix}${messageOf(error)}`;
}

/** A failure of exec must not look like the program's own. As runc. */
const failureCode = (command: string): number => (command === "exec" ? 255 : 1);

/** @param argv  without the program. @returns the exit code */
async function runtimeMain(argv: readonly string[]): Promise<number> {
  let log = openLog(undefined, "text", false);
  let command = "";
  try {
    const globals = parseFlags(GLOBAL_FLAGS, argv);
    command = globals.args[0] ?? "";
    log = openLog(globals.text("log"), globals.text("log-format") ?? "text", globals.has("debug"));
    return await perform(globals, log);
  } catch (error) {
    log.error(told(command, error));
    return failureCode(command);
  }
}

if (import.meta.main) void runtimeMain(process.argv.slice(2)).then((code) => process.exit(code));
