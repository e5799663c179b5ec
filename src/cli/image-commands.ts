/** What is done with images one by one: `history`, `tag`, `rmi`; and what they are made of: `commit`, `diff`. */

import { type Command, forEach } from "./command.ts";
import { formatted, type Layout, LIST_FORMAT, printLines } from "./format.ts";
import { ago, humanSize, shortId, splitTag, truncated } from "./table.ts";

/** Names have slashes, which stay. */
export const imagePath = (name: string): string => `/images/${name.split("/").map(encodeURIComponent).join("/")}`;

interface HistoryLine {
  readonly Id: string;
  readonly Created: number;
  readonly CreatedBy: string;
  readonly Size: number;
  readonly Comment: string;
}

const HISTORY: Layout = {
  columns: ["ID", "CreatedSince", "CreatedBy", "Size", "Comment"],
  headings: {
    ID: "IMAGE",
    CreatedSince: "CREATED",
    CreatedAt: "CREATED AT",
    CreatedBy: "CREATED BY",
    Size: "SIZE",
    Comment: "COMMENT",
  },
};

export const historyCommand: Command = {
  usage: "history [OPTIONS] IMAGE",
  summary: "Show the history of an image",
  flags: {
    format: LIST_FORMAT,
    human: { kind: "bool", short: "H", help: "Print sizes and dates in human readable format" },
    "no-trunc": { kind: "bool", help: "Don't truncate output" },
    platform: { kind: "text", help: "Show history for the given platform" },
    quiet: { kind: "bool", short: "q", help: "Only show image IDs" },
  },
  args: [1, 1],
  async run(client, flags) {
    const name = flags.args[0] ?? "";
    const platform = flags.text("platform");
    const lines = await client.get<HistoryLine[]>(`${imagePath(name)}/history`, { platform });
    const [full, human] = [flags.on("no-trunc"), flags.on("human", true)];
    const rows = lines.map(({ Id, Created, CreatedBy, Size, Comment }) => {
      const at = new Date(Created * 1000).toISOString().replace(".000Z", "Z");
      const by = CreatedBy.replaceAll("\t", " ");
      return {
        Comment,
        CreatedAt: at,
        CreatedBy: full ? by : truncated(by, 45),
        CreatedSince: human ? ago(Created) : at,
        ID: full ? Id : shortId(Id),
        Size: human ? humanSize(Size) : String(Size),
      };
    });
    if (flags.on("quiet")) printLines(rows.map(({ ID }) => ID).join("\n"));
    else printLines(formatted(rows, flags.text("format"), HISTORY));
    return 0;
  },
};

export const tagCommand: Command = {
  usage: "tag SOURCE_IMAGE[:TAG] TARGET_IMAGE[:TAG]",
  summary: "Create a tag TARGET_IMAGE that refers to SOURCE_IMAGE",
  flags: {},
  args: [2, 2],
  async run(client, flags) {
    const [source = "", target = ""] = flags.args;
    const [repo, tag] = splitTag(target);
    await client.request("POST", `${imagePath(source)}/tag`, { query: { repo, tag: tag === "<none>" ? "" : tag } });
    return 0;
  },
};

interface Removed {
  readonly Untagged?: string;
  readonly Deleted?: string;
}

const removedText = (removed: readonly Removed[]): string =>
  removed.map(({ Untagged, Deleted }) => (Untagged ? `Untagged: ${Untagged}` : `Deleted: ${Deleted}`)).join("\n");

export const rmiCommand: Command = {
  usage: "rmi [OPTIONS] IMAGE [IMAGE...]",
  summary: "Remove one or more images",
  flags: {
    force: { kind: "bool", short: "f", help: "Force removal of the image" },
    "no-prune": { kind: "bool", help: "Do not delete untagged parents" },
    platform: { kind: "list", help: "Remove only the given platform variant" },
  },
  args: [1, Number.POSITIVE_INFINITY],
  run(client, flags) {
    const platforms = flags.list("platform").map((text) => {
      const [os, architecture, variant] = text.split("/");
      return JSON.stringify({ os, architecture, ...(variant && { variant }) });
    });
    const query = { force: flags.on("force") ? "1" : "0", noprune: flags.on("no-prune") ? "1" : "0", platforms };
    return forEach(flags.args, async (name) => {
      const options = { query, ...(platforms.length > 0 && { api: "/v1.50" }) };
      const response = await client.request("DELETE", imagePath(name), options);
      return removedText((await response.json()) as readonly Removed[]);
    });
  },
};

export const commitCommand: Command = {
  usage: "commit [OPTIONS] CONTAINER [REPOSITORY[:TAG]]",
  summary: "Create a new image from a container's changes",
  flags: {
    author: { kind: "text", short: "a", help: 'Author (e.g., "John Hannibal Smith <hannibal@a-team.com>")' },
    change: { kind: "list", short: "c", help: "Apply Dockerfile instruction to the created image" },
    message: { kind: "text", short: "m", help: "Commit message" },
    pause: { kind: "bool", short: "p", help: "Pause container during commit (default true)" },
  },
  args: [1, 2],
  async run(client, flags) {
    const [container, name = ""] = flags.args;
    const [repo, tag] = splitTag(name);
    const { Id } = await client.post<{ readonly Id: string }>("/commit", {
      query: {
        container,
        repo,
        tag: tag === "<none>" ? "" : tag,
        author: flags.text("author"),
        comment: flags.text("message"),
        changes: flags.list("change"),
        pause: flags.on("pause", true) ? "1" : "0",
      },
    });
    console.log(Id);
    return 0;
  },
};

const KINDS = ["C", "A", "D"];

export const diffCommand: Command = {
  usage: "diff CONTAINER",
  summary: "Inspect changes to files or directories on a container's filesystem",
  flags: {},
  args: [1, 1],
  async run(client, flags) {
    const path = `/containers/${encodeURIComponent(flags.args[0] ?? "")}/changes`;
    const changes = await client.get<{ readonly Path: string; readonly Kind: number }[] | null>(path);
    printLines((changes ?? []).map(({ Path, Kind }) => `${KINDS[Kind]} ${Path}`).join("\n"));
    return 0;
  },
};
