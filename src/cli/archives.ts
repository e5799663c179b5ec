/** Images and containers as tars: `save`, `load`, `import`, `export`. */

import { createWriteStream, fstatSync } from "node:fs";
import { rename, rm } from "node:fs/promises";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import type { Command } from "./command.ts";
import type { Flags } from "./flags.ts";
import { ProgressLines, type ProgressObject } from "./images.ts";
import { splitTag } from "./table.ts";

/** The API wants it as JSON. */
function platformQuery(text: string | undefined): string | undefined {
  if (text === undefined) return undefined;
  const [os, architecture, variant] = text.split("/");
  if (!os || !architecture) throw new Error(`invalid platform ${JSON.stringify(text)}: want os/arch[/variant]`);
  return JSON.stringify({ os, architecture, ...(variant && { variant }) });
}

/** A file gets its name when it is complete, and standard output no terminal's. */
async function writeTo(output: string | undefined, body: ReadableStream<Uint8Array> | null): Promise<void> {
  const source = Readable.from(body ?? []);
  if (output === undefined) {
    if (process.stdout.isTTY) throw new Error("cowardly refusing to save to a terminal. Use the -o flag or redirect");
    return pipeline(source, process.stdout, { end: false });
  }
  const unfinished = `${output}.tmp-${process.pid}`;
  try {
    await pipeline(source, createWriteStream(unfinished, { mode: 0o600 }));
    await rename(unfinished, output);
  } finally {
    await rm(unfinished, { force: true });
  }
}

export const saveCommand: Command = {
  usage: "save [OPTIONS] IMAGE [IMAGE...]",
  summary: "Save one or more images to a tar archive (streamed to STDOUT by default)",
  flags: {
    output: { kind: "text", short: "o", help: "Write to a file, instead of STDOUT" },
    platform: { kind: "text", help: "Save only the given platform variant" },
  },
  args: [1, Number.POSITIVE_INFINITY],
  async run(client, flags) {
    const platform = platformQuery(flags.text("platform"));
    const options = { query: { names: flags.args, platform }, ...(platform && { api: "/v1.48" }) };
    const { body } = await client.request("GET", "/images/get", options);
    await writeTo(flags.text("output"), body);
    return 0;
  },
};

const hasInput = (): boolean => {
  const stats = fstatSync(0);
  return !process.stdin.isTTY && !stats.isCharacterDevice();
};

export const loadCommand: Command = {
  usage: "load [OPTIONS]",
  summary: "Load images from a tar archive or STDIN",
  flags: {
    input: { kind: "text", short: "i", help: "Read from tar archive file, instead of STDIN" },
    platform: { kind: "text", help: "Load only the given platform variant" },
    quiet: { kind: "bool", short: "q", help: "Suppress the load output" },
  },
  args: [0, 0],
  async run(client, flags) {
    const path = flags.text("input");
    if (path === undefined && !hasInput()) throw new Error("requested load from stdin, but stdin is empty");
    const platform = platformQuery(flags.text("platform"));
    const quiet = flags.on("quiet") || !process.stdout.isTTY;
    const response = await client.request("POST", "/images/load", {
      query: { quiet: quiet ? "1" : "0", platform },
      body: path === undefined ? Bun.stdin.stream() : Bun.file(path).stream(),
      headers: { "Content-Type": "application/x-tar" },
      ...(platform && { api: "/v1.48" }),
    });
    const lines = new ProgressLines(process.stdout);
    for await (const line of client.objects<ProgressObject>(response)) {
      if (line.error) throw new Error(line.error);
      if (line.stream !== undefined) process.stdout.write(line.stream);
      else lines.show(line);
    }
    return 0;
  },
};

const bodyOf = (source: string): ReadableStream<Uint8Array> | undefined => {
  if (source === "-") return Bun.stdin.stream();
  return /^https?:\/\//.test(source) ? undefined : Bun.file(source).stream();
};

function importQuery(flags: Flags): Readonly<Record<string, string | readonly string[] | undefined>> {
  const [source = "", name = ""] = flags.args;
  const [repository, tag] = splitTag(name);
  return {
    fromSrc: bodyOf(source) ? "-" : source,
    repo: repository,
    tag: tag === "<none>" ? "" : tag,
    message: flags.text("message"),
    changes: flags.list("change"),
    platform: flags.text("platform"),
  };
}

export const importCommand: Command = {
  usage: "import [OPTIONS] file|URL|- [REPOSITORY[:TAG]]",
  summary: "Import the contents from a tarball to create a filesystem image",
  flags: {
    change: { kind: "list", short: "c", help: "Apply Dockerfile instruction to the created image" },
    message: { kind: "text", short: "m", help: "Set commit message for imported image" },
    platform: { kind: "text", help: "Set platform if server is multi-platform capable" },
  },
  args: [1, 2],
  async run(client, flags) {
    const body = bodyOf(flags.args[0] ?? "");
    const response = await client.request("POST", "/images/create", {
      query: importQuery(flags),
      ...(body && { body }),
      headers: { "Content-Type": "application/x-tar" },
    });
    const lines = new ProgressLines(process.stdout);
    for await (const line of client.objects<ProgressObject>(response)) {
      if (line.error) throw new Error(line.error);
      lines.show(line);
    }
    return 0;
  },
};

export const exportCommand: Command = {
  usage: "export [OPTIONS] CONTAINER",
  summary: "Export a container's filesystem as a tar archive",
  flags: { output: { kind: "text", short: "o", help: "Write to a file, instead of STDOUT" } },
  args: [1, 1],
  async run(client, flags) {
    const { body } = await client.request("GET", `/containers/${encodeURIComponent(flags.args[0] ?? "")}/export`);
    await writeTo(flags.text("output"), body);
    return 0;
  },
};
