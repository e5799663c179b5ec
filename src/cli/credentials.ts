/**
 * Where a user's registry credentials are: docker's own configuration file, or a program that keeps them for docker.
 * Source: docker CLI's documentation, "login: Credential stores"; docker-credential-helpers, README.
 *
 *   $DOCKER_CONFIG/config.json, else ~/.docker/config.json:
 *     { "auths": { "<server>": { "auth": base64(user:password), "identitytoken": "…" } },
 *       "credsStore": "<helper>", "credHelpers": { "<server>": "<helper>" } }
 */

import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { ifMissing, messageOf } from "../base/errors.ts";
import { isObject } from "../base/objects.ts";
import { defaultDomain, parseReference } from "../base/reference.ts";

/** As the API takes it, in `X-Registry-Auth` and for /auth. */
export interface AuthConfig {
  readonly username?: string;
  readonly password?: string;
  readonly serveraddress?: string;
  readonly identitytoken?: string;
  readonly registrytoken?: string;
}

/** What Docker Hub is called where credentials are kept. */
export const HUB = "https://index.docker.io/v1/";

/** A helper's word for a secret that is an identity token. */
const TOKEN_USER = "<token>";
const NOT_FOUND = /credentials not found/i;

type Fields = Record<string, unknown>;

const folderOf = (): string => process.env.DOCKER_CONFIG || join(homedir(), ".docker");

/** `https://host/v1/` → `host`. */
export const hostnameOf = (server: string): string => server.replace(/^https?:\/\//, "").split("/", 1)[0] ?? "";

/** @param server  as the user writes it; none for Docker Hub */
export const serverKey = (server: string | undefined): string =>
  server === undefined || [HUB, "docker.io", "index.docker.io", "registry-1.docker.io"].includes(server)
    ? HUB
    : hostnameOf(server);

const textOf = (value: unknown): string => (typeof value === "string" ? value : "");
const fieldsOf = (value: unknown): Fields => (isObject(value) ? { ...value } : {});

/** Asks a helper. @throws Error with what it says */
function ask(helper: string, action: "get" | "store" | "erase", input: string): string {
  const program = `docker-credential-${helper}`;
  const path = Bun.which(program, { PATH: process.env.PATH ?? "" });
  if (path === null) throw new Error(`error getting credentials - err: exec: "${program}": executable file not found`);
  const { exitCode, stdout, stderr } = Bun.spawnSync([path, action], { stdin: Buffer.from(input) });
  const said = stdout.toString().trim();
  if (exitCode === 0) return said;
  throw new Error(
    `error ${action === "get" ? "getting" : "changing"} credentials - err: exit status ${exitCode}, out: \`${said || stderr.toString().trim()}\``,
  );
}

/** What a file's entry says. */
function decoded(entry: Fields): AuthConfig {
  const [, username, password] =
    /^([^:]*):(.*)$/s.exec(Buffer.from(textOf(entry.auth), "base64").toString().replace(/\0+$/, "")) ?? [];
  const all: AuthConfig = {
    username: username ?? textOf(entry.username),
    password: password ?? textOf(entry.password),
    identitytoken: textOf(entry.identitytoken),
    registrytoken: textOf(entry.registrytoken),
  };
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== ""));
}

export class CredentialStore {
  readonly path: string;
  readonly #document: Fields;

  /** @throws Error for a file that is no JSON */
  constructor(folder: string = folderOf()) {
    this.path = join(folder, "config.json");
    this.#document = CredentialStore.#read(this.path);
  }

  static #read(path: string): Fields {
    let text: string;
    try {
      text = readFileSync(path, "utf8");
    } catch (error) {
      return ifMissing({})(error);
    }
    try {
      return fieldsOf(JSON.parse(text || "{}"));
    } catch (error) {
      throw new Error(`WARNING: Error loading config file: ${path}: ${messageOf(error)}`);
    }
  }

  get #auths(): Fields {
    return fieldsOf(this.#document.auths);
  }

  /** @returns the helper that keeps a server's credentials; undefined when the file does */
  helperOf(server: string): string | undefined {
    return textOf(fieldsOf(this.#document.credHelpers)[server]) || textOf(this.#document.credsStore) || undefined;
  }

  /** @throws Error when a helper fails */
  get(server: string): AuthConfig | undefined {
    const helper = this.helperOf(server);
    const found = helper === undefined ? this.#inFile(server) : CredentialStore.#fromHelper(helper, server);
    return found && Object.keys(found).length > 0 ? { ...found, serveraddress: server } : undefined;
  }

  /** Old files have URLs where hosts are meant. */
  #inFile(server: string): AuthConfig | undefined {
    const auths = this.#auths;
    const key = Object.hasOwn(auths, server)
      ? server
      : Object.keys(auths).find((name) => server !== HUB && hostnameOf(name) === server);
    return key === undefined ? undefined : decoded(fieldsOf(auths[key]));
  }

  static #fromHelper(helper: string, server: string): AuthConfig | undefined {
    let said: string;
    try {
      said = ask(helper, "get", server);
    } catch (error) {
      if (NOT_FOUND.test(messageOf(error))) return undefined;
      throw error;
    }
    const answer = fieldsOf(JSON.parse(said));
    const [username, secret] = [textOf(answer.Username), textOf(answer.Secret)];
    return username === TOKEN_USER ? { identitytoken: secret } : { username, password: secret };
  }

  /** @returns whether they are kept in the clear. @throws Error */
  store(server: string, { username = "", password = "", identitytoken }: AuthConfig): boolean {
    const helper = this.helperOf(server);
    const entry = {
      auth: Buffer.from(`${username}:${identitytoken ? "" : password}`).toString("base64"),
      ...(identitytoken && { identitytoken }),
    };
    if (helper !== undefined) {
      const Username = identitytoken ? TOKEN_USER : username;
      ask(helper, "store", JSON.stringify({ ServerURL: server, Username, Secret: identitytoken || password }));
    }
    this.#write({ ...this.#auths, [server]: helper === undefined ? entry : {} });
    return helper === undefined;
  }

  /** @throws Error when a helper fails for another reason than that it has none */
  erase(server: string): void {
    const helper = this.helperOf(server);
    const same = Object.keys(this.#auths).filter(
      (name) => name === server || (server !== HUB && hostnameOf(name) === server),
    );
    try {
      if (helper !== undefined) ask(helper, "erase", server);
    } catch (error) {
      if (!NOT_FOUND.test(messageOf(error))) throw error;
    }
    if (same.length === 0) return;
    this.#write(Object.fromEntries(Object.entries(this.#auths).filter(([name]) => !same.includes(name))));
  }

  /** Replaces the file as a whole; what else is in it stays. */
  #write(auths: Fields): void {
    this.#document.auths = auths;
    mkdirSync(join(this.path, ".."), { recursive: true, mode: 0o700 });
    const temporary = `${this.path}.${process.pid}`;
    try {
      writeFileSync(temporary, JSON.stringify(this.#document, null, "\t"), { mode: 0o600 });
      renameSync(temporary, this.path);
    } finally {
      rmSync(temporary, { force: true });
    }
  }
}

const encoded = (auth: AuthConfig): string => Buffer.from(JSON.stringify(auth)).toString("base64url");

/**
 * Headers that let the engine act for the user at an image's registry. A helper that fails is told of, and does not keep a public image away.
 * @param image  as the user writes it; what is no reference has none: the engine says what is wrong with it
 */
export function authHeaders(image: string): Readonly<Record<string, string>> {
  try {
    const { domain } = parseReference(image);
    const found = new CredentialStore().get(domain === defaultDomain ? HUB : domain);
    return found ? { "X-Registry-Auth": encoded(found) } : {};
  } catch (error) {
    process.stderr.write(`WARNING: ${messageOf(error)}\n`);
    return {};
  }
}

/** The same for a server. */
export function serverHeaders(server: string): Readonly<Record<string, string>> {
  const found = new CredentialStore().get(server);
  return found ? { "X-Registry-Auth": encoded(found) } : {};
}
