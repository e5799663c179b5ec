/** `login`, `logout`, `push` and `search`. */

import { createInterface } from "node:readline/promises";
import { Writable } from "node:stream";
import { type Client, DaemonError } from "./client.ts";
import type { Command } from "./command.ts";
import {
  type AuthConfig,
  authHeaders,
  CredentialStore,
  HUB,
  hostnameOf,
  serverHeaders,
  serverKey,
} from "./credentials.ts";
import { filterQuery } from "./filters.ts";
import type { Flags } from "./flags.ts";
import { ProgressLines, type ProgressObject } from "./images.ts";
import { table } from "./table.ts";

/** @param isHidden  what is typed is not shown */
async function prompt(question: string, isHidden = false): Promise<string> {
  if (!process.stdin.isTTY) throw new Error("Error: Cannot perform an interactive login from a non TTY device");
  const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() });
  process.stdout.write(question);
  const lines = createInterface({ input: process.stdin, output: isHidden ? nowhere : process.stdout, terminal: true });
  try {
    return (await lines.question("")).trim();
  } finally {
    lines.close();
    if (isHidden) process.stdout.write("\n");
  }
}

async function passwordOf(flags: Flags): Promise<string | undefined> {
  const password = flags.text("password");
  if (!flags.on("password-stdin")) {
    if (password !== undefined)
      process.stderr.write("WARNING! Using --password via the CLI is insecure. Use --password-stdin.\n");
    return password;
  }
  if (password !== undefined) throw new Error("--password and --password-stdin are mutually exclusive");
  if (!flags.text("username")) throw new Error("Must provide --username with --password-stdin");
  return (await Bun.stdin.text()).replace(/\r?\n$/, "");
}

interface Login {
  readonly Status: string;
  readonly IdentityToken?: string;
}

const UNENCRYPTED = (path: string) => `
WARNING! Your credentials are stored unencrypted in '${path}'.
Configure a credential helper to remove this warning. See
https://docs.docker.com/go/credential-store/

`;

async function login(client: Client, store: CredentialStore, auth: AuthConfig, server: string): Promise<void> {
  const answer = await client.post<Login>("/auth", { json: { ...auth, serveraddress: server } });
  const { IdentityToken: identitytoken = "" } = answer;
  const kept = identitytoken === "" ? auth : { ...auth, password: "", identitytoken };
  if (store.store(server, kept)) process.stderr.write(UNENCRYPTED(store.path));
  console.log(answer.Status);
}

/** What is kept already may do. @returns false when there is nothing, or when it is refused */
async function loginAgain(client: Client, store: CredentialStore, server: string): Promise<boolean> {
  const known = store.get(server);
  if (!known) return false;
  process.stderr.write("Authenticating with existing credentials...\n");
  try {
    await login(client, store, known, server);
    return true;
  } catch (error) {
    if (!(error instanceof DaemonError) || error.status !== 401) throw error;
    process.stderr.write(`Login did not succeed, error: Error response from daemon: ${error.message}\n`);
    return false;
  }
}

export const loginCommand: Command = {
  usage: "login [OPTIONS] [SERVER]",
  summary: "Authenticate to a registry",
  flags: {
    password: { kind: "text", short: "p", help: "Password or Personal Access Token (PAT)" },
    "password-stdin": { kind: "bool", help: "Take the Password or Personal Access Token (PAT) from stdin" },
    username: { kind: "text", short: "u", help: "Username" },
  },
  args: [0, 1],
  async run(client, flags) {
    const server = serverKey(flags.args[0]);
    const store = new CredentialStore();
    const password = await passwordOf(flags);
    const username = flags.text("username");
    if (username === undefined && password === undefined && (await loginAgain(client, store, server))) return 0;
    const auth = {
      username: username ?? (await prompt("Username: ")),
      password: password ?? (await prompt("Password: ", true)),
    };
    await login(client, store, auth, server);
    return 0;
  },
};

export const logoutCommand: Command = {
  usage: "logout [SERVER]",
  summary: "Log out from a registry",
  flags: {},
  args: [0, 1],
  async run(_client, flags) {
    const server = serverKey(flags.args[0]);
    console.log(`Removing login credentials for ${server === HUB ? server : hostnameOf(server)}`);
    new CredentialStore().erase(server);
    return 0;
  },
};

export const pushCommand: Command = {
  usage: "push [OPTIONS] NAME[:TAG]",
  summary: "Upload an image to a registry",
  flags: {
    "all-tags": { kind: "bool", short: "a", help: "Push all tags of an image to the repository" },
    compression: { kind: "text", help: "Compress every layer so: gzip or zstd (Bosun's own)" },
    platform: {
      kind: "text",
      help: "Push a platform-specific manifest as a single-platform image: os[/arch[/variant]]",
    },
    quiet: { kind: "bool", short: "q", help: "Suppress verbose output" },
  },
  args: [1, 1],
  async run(client, flags) {
    const image = flags.args[0] ?? "";
    const quiet = flags.on("quiet");
    const [, name = image, tag] = /^(.*):([^/:]*)$/.exec(image) ?? [];
    if (flags.on("all-tags") && tag !== undefined) throw new Error("tag can't be used with --all-tags/-a");
    const isWhole = flags.on("all-tags");
    if (!isWhole && tag === undefined && !quiet) console.log("Using default tag: latest");
    const response = await client.request("POST", `/images/${name}/push`, {
      query: {
        tag: isWhole ? undefined : (tag ?? "latest"),
        compression: flags.text("compression"),
        platform: platformJson(flags.text("platform")),
      },
      headers: authHeaders(image),
    });
    const lines = new ProgressLines(process.stdout);
    for await (const line of client.objects<ProgressObject>(response)) {
      if (line.error) throw new Error(line.error);
      if (!quiet && line.status !== undefined) lines.show(line);
    }
    if (quiet) console.log(isWhole ? name : `${name}:${tag ?? "latest"}`);
    return 0;
  },
};

function platformJson(text: string | undefined): string | undefined {
  if (text === undefined) return undefined;
  const [os, architecture, variant] = text.split("/");
  return JSON.stringify({ os, architecture, ...(variant !== undefined && { variant }) });
}

interface Found {
  readonly name: string;
  readonly description: string;
  readonly star_count: number;
  readonly is_official: boolean;
}

/** Characters of a description that are shown. */
const DESCRIPTION = 45;

export const searchCommand: Command = {
  usage: "search [OPTIONS] TERM",
  summary: "Search Docker Hub, or HOST/TERM another registry, for images",
  flags: {
    filter: { kind: "list", short: "f", help: "Filter output based on conditions provided" },
    limit: { kind: "text", help: "Max number of search results" },
    "no-trunc": { kind: "bool", help: "Don't truncate output" },
  },
  args: [1, 1],
  async run(client, flags) {
    const term = flags.args[0] ?? "";
    const [, host] = /^([^/]*[.:][^/]*|localhost)\//.exec(term) ?? [];
    const found = await client
      .request("GET", "/images/search", {
        query: { term, limit: flags.text("limit"), filters: filterQuery(flags.list("filter")) },
        headers: serverHeaders(serverKey(host)),
      })
      .then((response) => response.json() as Promise<readonly Found[]>);
    const shown = (text: string) => {
      const line = text.replace(/[\r\n]+/g, " ");
      return flags.on("no-trunc") || line.length <= DESCRIPTION ? line : `${line.slice(0, DESCRIPTION - 1)}…`;
    };
    console.log(
      table([
        ["NAME", "DESCRIPTION", "STARS", "OFFICIAL"],
        ...found.map((one) => [
          one.name,
          shown(one.description),
          String(one.star_count),
          one.is_official ? "[OK]" : "",
        ]),
      ]),
    );
    return 0;
  },
};
