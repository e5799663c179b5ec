/**
 * A daemon of the suite's own, spoken to over its API: what a test of crashes and failures does hundreds of times. Whatever the suite does to it, in the end
 * nothing may be left of its containers and images.
 */

import { Database } from "bun:sqlite";
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { errorsIn, lastingContradictions, namesIn } from "./audit.ts";
import { hasBusybox, testArchive } from "./busybox.ts";
import { TestDaemon } from "./daemon.ts";
import { lastingLeftovers } from "./leftovers.ts";
import { TEST_MS } from "./patience.ts";

export interface ContainerOptions {
  readonly host?: object;
  readonly config?: object;
}

/** The parts of an inspection that tests look at. */
export interface Inspection {
  readonly Id: string;
  readonly State: {
    readonly Status: string;
    readonly Running: boolean;
    readonly ExitCode: number;
    readonly Pid: number;
    readonly Error: string;
    readonly OOMKilled: boolean;
  };
  readonly NetworkSettings: { readonly IPAddress: string; readonly Gateway: string };
}

/** A refusal. */
export class Refusal extends Error {
  override readonly name = "Refusal";
  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message);
  }
}

export class Api {
  #daemon: TestDaemon | undefined;

  get daemon(): TestDaemon {
    if (!this.#daemon) throw new Error("the daemon has not been started");
    return this.#daemon;
  }

  async open(flags: readonly string[]): Promise<void> {
    this.#daemon = await TestDaemon.start(...flags);
    await this.load(testArchive());
  }

  async close(): Promise<void> {
    await this.#daemon?.[Symbol.asyncDispose]();
  }

  /** @returns the body. @throws Refusal */
  async send(method: string, path: string, body?: unknown): Promise<string> {
    const response = await this.daemon.api(path, {
      method,
      ...(body !== undefined && { body: JSON.stringify(body), headers: { "Content-Type": "application/json" } }),
    });
    const text = await response.text();
    if (!response.ok && response.status !== 304) throw new Refusal(response.status, messageIn(text));
    return text;
  }

  /** @returns the status and the message of a refusal; undefined when it is none */
  refusalOf(request: Promise<unknown>): Promise<{ status: number; message: string } | undefined> {
    return request.then(
      () => undefined,
      (error) => {
        if (error instanceof Refusal) return { status: error.status, message: error.message };
        throw error;
      },
    );
  }

  async create(name: string, command: readonly string[], { host, config }: ContainerOptions = {}): Promise<string> {
    const body = { Image: "busybox", Cmd: command, ...config, HostConfig: { NetworkMode: "none", ...host } };
    return JSON.parse(await this.send("POST", `/containers/create?name=${name}`, body)).Id;
  }

  start = (name: string): Promise<string> => this.send("POST", `/containers/${name}/start`);

  async run(name: string, command: readonly string[], options: ContainerOptions = {}): Promise<string> {
    const id = await this.create(name, command, options);
    await this.start(id);
    return id;
  }

  /** @returns the exit code */
  async wait(name: string, condition = "not-running"): Promise<number> {
    return JSON.parse(await this.send("POST", `/containers/${name}/wait?condition=${condition}`)).StatusCode;
  }

  async inspect(name: string): Promise<Inspection> {
    return JSON.parse(await this.send("GET", `/containers/${name}/json`));
  }

  /** By force, whether it is there or not. */
  async remove(name: string): Promise<void> {
    const refusal = await this.refusalOf(this.send("DELETE", `/containers/${name}?force=1`));
    if (refusal && refusal.status !== 404) throw new Error(`rm ${name}: ${refusal.status} ${refusal.message}`);
  }

  async exec(name: string, command: readonly string[]): Promise<string> {
    const body = { Cmd: command, AttachStdout: true };
    const { Id } = JSON.parse(await this.send("POST", `/containers/${name}/exec`, body));
    await this.send("POST", `/exec/${Id}/start`, { Detach: true });
    return Id;
  }

  /** @returns what the daemon says. @throws Error when the archive is refused */
  async load(archive: Uint8Array): Promise<string> {
    const headers = { "Content-Type": "application/x-tar" };
    const response = await this.daemon.api("/images/load", { method: "POST", body: archive, headers });
    return told(response.status, await response.text());
  }

  /** @returns the progress. @throws Refusal, whether the failure came as a status or in the stream */
  async pull(reference: string): Promise<string> {
    return told(200, await this.send("POST", `/images/create?fromImage=${encodeURIComponent(reference)}`));
  }

  removeImage = (name: string): Promise<string> => this.send("DELETE", `/images/${name}?force=1`);

  /** Follows a container's log until the pattern is in it. @throws Error when the log ends before */
  async says(name: string, pattern: RegExp): Promise<void> {
    const { body } = await this.daemon.api(`/containers/${name}/logs?follow=1&stdout=1&stderr=1`);
    let text = "";
    for await (const bytes of body ?? []) {
      text += Buffer.from(bytes).toString("latin1");
      if (pattern.test(text)) return;
    }
    throw new Error(`${name} never said ${pattern}; all it said: ${JSON.stringify(text)}`);
  }

  /** What a container has written, as its log has it. */
  async logged(id: string): Promise<string> {
    const path = join(this.daemon.dataRoot, "containers", id, `${id}-json.log`);
    const text = await readFile(path, "utf8").catch(() => "");
    return text
      .split("\n")
      .filter((line) => line !== "")
      .map((line) => JSON.parse(line).log)
      .join("");
  }

  /** What broken pulls left for later ones. */
  async #forgetUnfinished(): Promise<void> {
    await this.daemon.stop("SIGKILL");
    using database = new Database(join(this.daemon.dataRoot, "bosun.db"));
    database.run("DELETE FROM leases");
    await this.daemon.launch();
  }

  /** Every container and every image. @returns what is left of them */
  async clear(): Promise<string[]> {
    await this.#forgetUnfinished();
    for (const { Id } of await this.daemon.json<{ Id: string }[]>("/containers/json?all=1")) await this.remove(Id);
    for (const { Id } of await this.daemon.json<{ Id: string }[]>("/images/json")) await this.removeImage(Id);
    const { dataRoot } = this.daemon;
    const files = [...(await namesIn(join(dataRoot, "layers"))), ...(await namesIn(join(dataRoot, "blobs", "sha256")))];
    return [...(await lastingContradictions(this.daemon)), ...(await lastingLeftovers(this.daemon)), ...files];
  }
}

function messageIn(text: string): string {
  try {
    return JSON.parse(text).message;
  } catch {
    return text;
  }
}

/** A stream of progress may end in an error. */
function told(status: number, text: string): string {
  if (status !== 200) throw new Refusal(status, messageIn(text));
  const failed = text.split("\n").find((line) => line.includes('"errorDetail"'));
  if (failed) throw new Refusal(200, JSON.parse(failed).error);
  return text;
}

const missing = [
  ...(process.getuid?.() === 0 ? [] : ["root's privileges"]),
  ...(hasBusybox ? [] : ["a static busybox (Debian: busybox-static)"]),
];
if (missing.length > 0) console.log(`Tests of crashes and failures are skipped: they need ${missing.join(" and ")}`);

export interface ApiSuite {
  /** Of the daemon. */
  readonly flags?: readonly string[];
  /** Errors in the daemon's log that are what the suite is about. */
  readonly expected?: RegExp;
}

export function withDaemon(subject: string, tests: (api: Api) => void, { flags = [], expected }: ApiSuite = {}): void {
  setDefaultTimeout(TEST_MS); // for the file that calls this
  describe.skipIf(missing.length > 0)(subject, () => {
    const api = new Api();
    beforeAll(() => api.open(flags));
    afterAll(() => api.close());
    tests(api);
    test("nothing is left of containers and images when they are removed", async () => {
      expect(await api.clear()).toEqual([]);
      expect(errorsIn(api.daemon.log).filter((line) => !expected?.test(line))).toEqual([]);
    });
  });
}
