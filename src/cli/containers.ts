/** `ps`, `logs`, `exec`, `stop` and `rm`. */

import { readFileSync } from "node:fs";
import type { Client } from "./client.ts";
import { type Command, forEach } from "./command.ts";
import { filterQuery } from "./filters.ts";
import type { Flags } from "./flags.ts";
import { followSize, printOutput, rawTerminal, sendInput, windowSize } from "./streams.ts";
import { ago, shortId, table, truncated } from "./table.ts";

interface Summary {
  readonly Id: string;
  readonly Names: readonly string[];
  readonly Image: string;
  readonly Command: string;
  readonly Created: number;
  readonly Status: string;
  readonly Ports: readonly { IP?: string; PrivatePort: number; PublicPort?: number; Type: string }[];
}

const portText = ({ IP, PrivatePort, PublicPort, Type }: Summary["Ports"][number]): string =>
  PublicPort === undefined
    ? `${PrivatePort}/${Type}`
    : `${IP?.includes(":") ? `[${IP}]` : IP}:${PublicPort}->${PrivatePort}/${Type}`;

function row(container: Summary, full: boolean): string[] {
  const { Id, Image, Command: command, Created, Status, Ports, Names } = container;
  return [
    full ? Id : shortId(Id),
    Image,
    full ? `"${command}"` : `"${truncated(command, 19)}"`,
    ago(Created),
    Status,
    Ports.map(portText).join(", "),
    Names.map((name) => name.replace(/^\//, "")).join(","),
  ];
}

export const psCommand: Command = {
  usage: "ps [OPTIONS]",
  summary: "List containers",
  flags: {
    all: { kind: "bool", short: "a", help: "Show all containers (default shows just running)" },
    filter: { kind: "list", short: "f", help: "Filter output based on conditions provided" },
    last: { kind: "text", short: "n", help: "Show n last created containers" },
    latest: { kind: "bool", short: "l", help: "Show the latest created container" },
    "no-trunc": { kind: "bool", help: "Don't truncate output" },
    quiet: { kind: "bool", short: "q", help: "Only display container IDs" },
  },
  args: [0, 0],
  async run(client, flags) {
    const limit = flags.on("latest") ? "1" : flags.text("last");
    const query = { all: flags.on("all") ? "1" : "0", limit, filters: filterQuery(flags.list("filter")) };
    const containers = await client.get<Summary[]>("/containers/json", query);
    const full = flags.on("no-trunc");
    if (flags.on("quiet")) for (const { Id } of containers) console.log(full ? Id : shortId(Id));
    else
      console.log(
        table([
          ["CONTAINER ID", "IMAGE", "COMMAND", "CREATED", "STATUS", "PORTS", "NAMES"],
          ...containers.map((container) => row(container, full)),
        ]),
      );
    return 0;
  },
};

export const path = (name: string): string => `/containers/${encodeURIComponent(name)}`;

/** A time as the API wants it: seconds since 1970. `10m` is so long ago. */
function timestamp(text: string | undefined): string | undefined {
  if (text === undefined || /^\d+(\.\d+)?$/.test(text)) return text;
  const spans = { h: 3600, m: 60, s: 1 } as const;
  const parts = [...text.matchAll(/(\d+(?:\.\d+)?)([hms])/g)];
  if (parts.length > 0 && parts.map(([all]) => all).join("") === text) {
    const seconds = parts.reduce(
      (sum, [, count, unit]) => sum + Number(count) * (unit === "h" ? spans.h : unit === "m" ? spans.m : 1),
      0,
    );
    return (Date.now() / 1000 - seconds).toFixed(9);
  }
  const at = Date.parse(text);
  if (Number.isNaN(at))
    throw new Error(`invalid value for "since": failed to parse value as time or duration: "${text}"`);
  return (at / 1000).toFixed(9);
}

const isTty = async (client: Client, name: string): Promise<boolean> =>
  (await client.get<{ readonly Config: { readonly Tty: boolean } }>(`${path(name)}/json`)).Config.Tty;

export const logsCommand: Command = {
  usage: "logs [OPTIONS] CONTAINER",
  summary: "Fetch the logs of a container",
  flags: {
    details: { kind: "bool", help: "Show extra details provided to logs" },
    follow: { kind: "bool", short: "f", help: "Follow log output" },
    since: { kind: "text", help: "Show logs since timestamp or relative (e.g. 42m)" },
    tail: { kind: "text", short: "n", help: "Number of lines to show from the end of the logs" },
    timestamps: { kind: "bool", short: "t", help: "Show timestamps" },
    until: { kind: "text", help: "Show logs before a timestamp or relative (e.g. 42m)" },
  },
  args: [1, 1],
  async run(client, flags) {
    const name = flags.args[0] ?? "";
    const tty = await isTty(client, name);
    const on = (flag: string) => (flags.on(flag) ? "1" : "0");
    const response = await client.request("GET", `${path(name)}/logs`, {
      query: {
        stdout: "1",
        stderr: "1",
        follow: on("follow"),
        timestamps: on("timestamps"),
        details: on("details"),
        tail: flags.text("tail"),
        since: timestamp(flags.text("since")),
        until: timestamp(flags.text("until")),
      },
    });
    if (response.body) await printOutput(response.body, tty);
    return 0;
  },
};

function execBody(flags: Flags): object {
  const [, ...cmd] = flags.args;
  const detached = flags.on("detach");
  const fromFiles = flags.list("env-file").flatMap((file) =>
    readFileSync(file, "utf8")
      .split("\n")
      .filter((line) => line.includes("=")),
  );
  return {
    AttachStdin: flags.on("interactive") && !detached,
    AttachStdout: !detached,
    AttachStderr: !detached,
    DetachKeys: flags.text("detach-keys"),
    Env: [...fromFiles, ...flags.list("env")],
    Cmd: cmd,
    Privileged: flags.on("privileged"),
    Tty: flags.on("tty"),
    User: flags.text("user"),
    WorkingDir: flags.text("workdir"),
  };
}

async function execAttached(client: Client, flags: Flags, id: string): Promise<number> {
  const tty = flags.on("tty");
  const stream = await client.hijack(`/exec/${id}/start`, { json: { Tty: tty, ConsoleSize: windowSize() } });
  using stack = new DisposableStack();
  if (flags.on("interactive")) {
    if (tty) stack.use(rawTerminal());
    stack.use(sendInput(stream));
  }
  if (tty)
    stack.use(
      followSize((rows, columns) =>
        client.request("POST", `/exec/${id}/resize`, { query: { h: `${rows}`, w: `${columns}` } }),
      ),
    );
  await printOutput(stream, tty);
  stack.dispose();
  stream.destroy();
  const { ExitCode } = await client.get<{ readonly ExitCode: number | null }>(`/exec/${id}/json`);
  return ExitCode ?? 0;
}

export const execCommand: Command = {
  usage: "exec [OPTIONS] CONTAINER COMMAND [ARG...]",
  summary: "Execute a command in a running container",
  flags: {
    detach: { kind: "bool", short: "d", help: "Detached mode: run command in the background" },
    "detach-keys": { kind: "text", help: "Override the key sequence for detaching" },
    env: { kind: "list", short: "e", help: "Set environment variables" },
    "env-file": { kind: "list", help: "Read in a file of environment variables" },
    interactive: { kind: "bool", short: "i", help: "Keep STDIN open even if not attached" },
    privileged: { kind: "bool", help: "Give extended privileges to the command" },
    tty: { kind: "bool", short: "t", help: "Allocate a pseudo-TTY" },
    user: { kind: "text", short: "u", help: "Username or UID (format: <name|uid>[:<group|gid>])" },
    workdir: { kind: "text", short: "w", help: "Working directory inside the container" },
  },
  args: [2, Number.POSITIVE_INFINITY],
  stopAtArgument: true,
  async run(client, flags) {
    const name = flags.args[0] ?? "";
    const { Id: id } = await client.post<{ readonly Id: string }>(`${path(name)}/exec`, { json: execBody(flags) });
    if (!flags.on("detach")) return execAttached(client, flags, id);
    await client.request("POST", `/exec/${id}/start`, { json: { Detach: true, Tty: flags.on("tty") } });
    return 0;
  },
};

export const stopCommand: Command = {
  usage: "stop [OPTIONS] CONTAINER [CONTAINER...]",
  summary: "Stop one or more running containers",
  flags: {
    signal: { kind: "text", short: "s", help: "Signal to send to the container" },
    time: { kind: "text", short: "t", help: "Seconds to wait before killing the container" },
    timeout: { kind: "text", help: "The same as --time" },
  },
  args: [1, Number.POSITIVE_INFINITY],
  run: (client, flags) =>
    forEach(flags.args, async (name) => {
      const query = { t: flags.text("timeout") ?? flags.text("time"), signal: flags.text("signal") };
      await client.request("POST", `${path(name)}/stop`, { query });
      return name;
    }),
};

export const rmCommand: Command = {
  usage: "rm [OPTIONS] CONTAINER [CONTAINER...]",
  summary: "Remove one or more containers",
  flags: {
    force: { kind: "bool", short: "f", help: "Force the removal of a running container (uses SIGKILL)" },
    link: { kind: "bool", short: "l", help: "Remove the specified link" },
    volumes: { kind: "bool", short: "v", help: "Remove anonymous volumes associated with the container" },
  },
  args: [1, Number.POSITIVE_INFINITY],
  run: (client, flags) =>
    forEach(flags.args, async (name) => {
      const number = (flag: string) => (flags.on(flag) ? "1" : "0");
      const query = { force: number("force"), link: number("link"), v: number("volumes") };
      await client.request("DELETE", path(name.replace(/^\//, "")), { query });
      return name;
    }),
};
