/** `images`, `pull` and `load`. */

import type { Client } from "./client.ts";
import type { Command } from "./command.ts";
import { authHeaders } from "./credentials.ts";
import { ago, humanSize, shortId, table } from "./table.ts";

interface Summary {
  readonly Id: string;
  readonly RepoTags: readonly string[] | null;
  readonly RepoDigests: readonly string[] | null;
  readonly Created: number;
  readonly Size: number;
}

/** `x:tag` at its last colon, which is no port's. */
function splitTag(reference: string): readonly [name: string, tag: string] {
  const at = reference.lastIndexOf(":");
  return at > reference.lastIndexOf("/") ? [reference.slice(0, at), reference.slice(at + 1)] : [reference, "<none>"];
}

function rowsOf({ RepoTags, RepoDigests, Id, Created, Size }: Summary, full: boolean): string[][] {
  const id = full ? Id : shortId(Id);
  const name = RepoDigests?.[0]?.split("@")[0] ?? "<none>";
  const tags = RepoTags && RepoTags.length > 0 ? RepoTags.map(splitTag) : [[name, "<none>"] as const];
  return tags.map(([repository, tag]) => [repository, tag, id, ago(Created), humanSize(Size)]);
}

export const imagesCommand: Command = {
  usage: "images [OPTIONS] [REPOSITORY[:TAG]]",
  summary: "List images",
  flags: {
    all: { kind: "bool", short: "a", help: "Show all images" },
    filter: { kind: "list", short: "f", help: "Filter output based on conditions provided" },
    "no-trunc": { kind: "bool", help: "Don't truncate output" },
    quiet: { kind: "bool", short: "q", help: "Only show image IDs" },
  },
  args: [0, 1],
  async run(client, flags) {
    const filters = filterQuery([...flags.list("filter"), ...flags.args.map((name) => `reference=${name}`)]);
    const images = await client.get<Summary[]>("/images/json", { all: flags.on("all") ? "1" : "0", filters });
    const full = flags.on("no-trunc");
    if (flags.on("quiet")) for (const { Id } of images) console.log(full ? Id : shortId(Id));
    else
      console.log(
        table([
          ["REPOSITORY", "TAG", "IMAGE ID", "CREATED", "SIZE"],
          ...images.flatMap((image) => rowsOf(image, full)),
        ]),
      );
    return 0;
  },
};

/** `name=value` filters → the API's JSON; undefined for none. */
export function filterQuery(filters: readonly string[]): string | undefined {
  const values: Record<string, string[]> = {};
  for (const filter of filters) {
    const at = filter.indexOf("=");
    if (at < 1)
      throw new Error(`invalid argument "${filter}" for "--filter" flag: bad format of filter (expected name=value)`);
    const name = filter.slice(0, at).trim();
    values[name] = [...(values[name] ?? []), filter.slice(at + 1).trim()];
  }
  return filters.length > 0 ? JSON.stringify(values) : undefined;
}

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

export const loadCommand: Command = {
  usage: "load [OPTIONS]",
  summary: "Load images from a tar archive or STDIN",
  flags: {
    input: { kind: "text", short: "i", help: "Read from tar archive file, instead of STDIN" },
    quiet: { kind: "bool", short: "q", help: "Suppress the load output" },
  },
  args: [0, 0],
  async run(client, flags) {
    const path = flags.text("input");
    if (path === undefined && process.stdin.isTTY) throw new Error("requested load from stdin, but stdin is empty");
    const body = path === undefined ? Bun.stdin.stream() : Bun.file(path).stream();
    const response = await client.request("POST", "/images/load", {
      query: { quiet: flags.on("quiet") ? "1" : "0" },
      body,
      headers: { "Content-Type": "application/x-tar" },
    });
    for await (const { stream, error } of client.objects<ProgressObject>(response)) {
      if (error) throw new Error(error);
      process.stdout.write(stream ?? "");
    }
    return 0;
  },
};
