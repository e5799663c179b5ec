/** Debian's docker-registry, on a free loopback port, with a folder of its own. */

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { digestOf } from "../../src/base/digest.ts";
import type { Credentials } from "../../src/registry/registry.ts";
import type { Piece, TestImage } from "./image.ts";

const program = "docker-registry";

/** Whether the registry is installed; tests of it are skipped otherwise. */
export const hasDockerRegistry = Bun.which(program) !== null;

/** JSON is YAML. */
const configOf = (folder: string, htpasswd: string | undefined) => ({
  version: "0.1",
  log: { level: "info", accesslog: { disabled: true } },
  storage: { filesystem: { rootdirectory: join(folder, "data") }, delete: { enabled: true } },
  http: { addr: "127.0.0.1:0" },
  ...(htpasswd && { auth: { htpasswd: { realm: "test", path: htpasswd } } }),
});

async function listeningPort(log: ReadableStream<Uint8Array>): Promise<number> {
  const reader = log.getReader();
  const decoder = new TextDecoder();
  let text = "";
  for (let piece = await reader.read(); !piece.done; piece = await reader.read()) {
    text += decoder.decode(piece.value, { stream: true });
    const port = /listening on [^" ]*:(\d+)/.exec(text)?.[1];
    if (port === undefined) continue;
    // Its log is read on, or the pipe fills up.
    void reader.closed.catch(() => {});
    void (async () => {
      while (!(await reader.read()).done);
    })().catch(() => {});
    return Number(port);
  }
  throw new Error(`docker-registry did not start: ${text}`);
}

export class DockerRegistry implements AsyncDisposable {
  private constructor(
    readonly port: number,
    readonly credentials: Credentials | undefined,
    readonly process: Bun.Subprocess,
    readonly folder: string,
  ) {}

  /** @param credentials  when given, the registry asks for them (basic authentication) */
  static async start(credentials?: { readonly username: string; readonly password: string }): Promise<DockerRegistry> {
    await using undo = new AsyncDisposableStack();
    const folder = await mkdtemp(join(tmpdir(), "bosun-registry-"));
    undo.defer(() => rm(folder, { recursive: true, force: true }));
    const htpasswd = credentials && join(folder, "htpasswd");
    if (htpasswd) {
      const hash = await Bun.password.hash(credentials.password, { algorithm: "bcrypt", cost: 4 });
      await Bun.write(htpasswd, `${credentials.username}:${hash}\n`);
    }
    const config = join(folder, "config.yml");
    await Bun.write(config, JSON.stringify(configOf(folder, htpasswd)));
    const environment = { PATH: process.env.PATH ?? "", OTEL_TRACES_EXPORTER: "none" };
    const child = Bun.spawn([program, "serve", config], { env: environment, stdout: "ignore", stderr: "pipe" });
    undo.defer(() => child.kill());
    const port = await listeningPort(child.stderr);
    undo.move();
    return new DockerRegistry(port, credentials, child, folder);
  }

  get host(): string {
    return `127.0.0.1:${this.port}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.process.kill();
    await this.process.exited;
    await rm(this.folder, { recursive: true, force: true });
  }

  async push(repository: string, tag: string, image: TestImage): Promise<void> {
    for (const piece of [image.config, ...image.layers]) await this.#pushBlob(repository, piece.bytes);
    await this.pushDocument(repository, tag, image.manifest);
  }

  async pushDocument(repository: string, tag: string, { bytes, descriptor }: Piece): Promise<void> {
    const headers = { "content-type": descriptor.mediaType };
    await this.#send("PUT", `/v2/${repository}/manifests/${tag}`, bytes, headers);
  }

  async #pushBlob(repository: string, bytes: Uint8Array): Promise<void> {
    const started = await this.#send("POST", `/v2/${repository}/blobs/uploads/`, new Uint8Array());
    const url = new URL(started.headers.get("location") ?? "", `http://${this.host}`);
    url.searchParams.set("digest", digestOf(bytes));
    await this.#send("PUT", url.pathname + url.search, bytes, { "content-type": "application/octet-stream" });
  }

  async #send(method: string, path: string, body: Uint8Array, headers: Record<string, string> = {}): Promise<Response> {
    const { username, password } = this.credentials ?? {};
    const authorization = username === undefined ? {} : { authorization: `Basic ${btoa(`${username}:${password}`)}` };
    const url = `http://${this.host}${path}`;
    const response = await fetch(url, {
      method,
      body: new Uint8Array(body),
      headers: { ...authorization, ...headers },
      proxy: false,
    });
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`);
    return response;
  }
}
