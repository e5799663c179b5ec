/** `pull`, and progress as it is drawn. */

import type { Client } from "./client.ts";
import type { Command } from "./command.ts";
import { authHeaders } from "./credentials.ts";
import { splitTag } from "./table.ts";

/** A line of a JSON stream. */
export interface ProgressObject {
  readonly id?: string;
  readonly status?: string;
  readonly progress?: string;
  readonly error?: string;
  readonly stream?: string;
}

/** A line for each layer, redrawn on a terminal; elsewhere only what changed, without the bars. */
export class ProgressLines {
  readonly #lines: string[] = [];
  readonly #last = new Map<string, string>();

  constructor(readonly out: NodeJS.WriteStream) {}

  show({ id, status = "", progress = "" }: ProgressObject): void {
    const prefix = id ? `${id}: ` : "";
    if (!this.out.isTTY) {
      if (progress === "" && this.#last.get(prefix) !== status) this.out.write(`${prefix}${status}\n`);
      this.#last.set(prefix, progress === "" ? status : "");
      return;
    }
    const known = id ? this.#lines.indexOf(id) : -1;
    const up = known < 0 ? 0 : this.#lines.length - known;
    const text = `${prefix}${status} ${progress}`.trimEnd().slice(0, this.out.columns - 1);
    this.out.write(`${up > 0 ? `\x1b[${up}A` : ""}\x1b[2K\r${text}${up > 0 ? `\x1b[${up}B\r` : "\n"}`);
    if (known < 0) this.#lines.push(id ?? "");
  }
}

export interface PullSettings {
  readonly platform: string | undefined;
  readonly out: NodeJS.WriteStream;
  readonly all?: boolean;
  readonly quiet?: boolean;
}

/** @throws Error with what the daemon says in the stream */
export async function pull(client: Client, image: string, { platform, out, all, quiet }: PullSettings): Promise<void> {
  const digest = image.includes("@");
  const [name, tag] = digest ? [image, ""] : splitTag(image);
  const wanted = all || digest ? "" : tag === "<none>" ? "latest" : tag;
  if (wanted === "latest" && tag !== "latest" && !quiet) out.write("Using default tag: latest\n");
  const query = { fromImage: name, tag: wanted, platform };
  const response = await client.request("POST", "/images/create", { query, headers: authHeaders(image) });
  const lines = new ProgressLines(out);
  for await (const line of client.objects<ProgressObject>(response)) {
    if (line.error) throw new Error(line.error);
    if (!quiet) lines.show(line);
  }
}

export const pullCommand: Command = {
  usage: "pull [OPTIONS] NAME[:TAG|@DIGEST]",
  summary: "Download an image from a registry",
  flags: {
    "all-tags": { kind: "bool", short: "a", help: "Download all tagged images in the repository" },
    platform: { kind: "text", help: "Set platform if server is multi-platform capable" },
    quiet: { kind: "bool", short: "q", help: "Suppress verbose output" },
  },
  args: [1, 1],
  async run(client, flags) {
    const image = flags.args[0] ?? "";
    const quiet = flags.on("quiet");
    await pull(client, image, {
      platform: flags.text("platform"),
      out: process.stdout,
      all: flags.on("all-tags"),
      quiet,
    });
    if (quiet) console.log(image);
    return 0;
  },
};
