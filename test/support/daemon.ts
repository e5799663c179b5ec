/**
 * A real daemon of the test's own: folders, socket, bridge and cgroups that nobody else uses. It may be killed and started again; in the end all
 * that it and its containers hold goes, whatever state the test has left it in.
 */

import { Database } from "bun:sqlite";
import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { builtFile } from "../../src/base/built.ts";
import { silent } from "../../src/base/logger.ts";
import { exchangeNetlink, NETLINK } from "../../src/base/netlink.ts";
import { bridgeSettings } from "../../src/network/bridge-options.ts";
import type { Network } from "../../src/network/driver.ts";
import { removeRules } from "../../src/network/firewall.ts";
import { HostFilter } from "../../src/network/host-filter.ts";
import { type Exchange, Netlink } from "../../src/network/netlink.ts";
import { openCgroups } from "../../src/runtime/cgroup.ts";
import { ShimRuntime } from "../../src/runtime/runtime-shim.ts";
import { onAbort } from "./abort.ts";
import { type Folder, makeFolder } from "./folder.ts";
import { cgroupsBelow } from "./leftovers.ts";

const PROGRAM = new URL("../../src/main.ts", import.meta.url).pathname;

export class TestDaemon implements AsyncDisposable {
  readonly id = randomBytes(4).toString("hex");
  readonly bridge = `bt${this.id}`;
  readonly cgroupParent = `/bosun-test-${this.id}`;
  #process: Bun.Subprocess<"ignore", "ignore", "pipe"> | undefined;
  #log = "";
  #logRead: Promise<void> = Promise.resolve();
  #logged = Promise.withResolvers<void>();
  #gone: Promise<void> | undefined;
  readonly #settled = onAbort(() => this[Symbol.asyncDispose]());

  private constructor(
    readonly folder: Folder,
    readonly flags: readonly string[],
    readonly prefix: readonly string[],
  ) {}

  /** @param flags  of `bosun daemon`, beside those that keep it apart from others */
  static start(...flags: readonly string[]): Promise<TestDaemon> {
    return TestDaemon.startUnder([], ...flags);
  }

  /** @param prefix  a command that becomes the daemon, as `nsenter --net=…` */
  static async startUnder(prefix: readonly string[], ...flags: readonly string[]): Promise<TestDaemon> {
    await using undo = new AsyncDisposableStack();
    const daemon = undo.use(new TestDaemon(await makeFolder(), flags, prefix));
    await mkdir(daemon.path("docker-config"));
    await daemon.launch();
    undo.move();
    return daemon;
  }

  path = (name: string): string => join(this.folder.path, name);

  get socket(): string {
    return this.path("bosun.sock");
  }

  get host(): string {
    return `unix://${this.socket}`;
  }

  get dataRoot(): string {
    return this.path("data");
  }

  get execRoot(): string {
    return this.path("run");
  }

  get pidfile(): string {
    return this.path("bosun.pid");
  }

  /** Of the daemon that runs; 0 when none does. */
  get pid(): number {
    return this.#process?.pid ?? 0;
  }

  /** What it has written to its own log since it was launched. */
  get log(): string {
    return this.#log;
  }

  /** The command line with which it is started. */
  get command(): readonly string[] {
    return [
      ...[process.execPath, PROGRAM, "daemon", "-H", this.host, "--pidfile", this.pidfile],
      ...["--data-root", this.dataRoot, "--exec-root", this.execRoot],
      ...["--bridge", this.bridge, "--cgroup-parent", this.cgroupParent, "--debug"],
      ...["--layer-linger", "0", ...this.flags], // what is left behind shows at once
    ];
  }

  /** What clients need in their environment. */
  get env(): Record<string, string> {
    return {
      PATH: `/usr/local/bin:${process.env.PATH ?? ""}:/usr/sbin:/sbin`,
      HOME: this.folder.path,
      DOCKER_HOST: this.host,
      DOCKER_CONFIG: this.path("docker-config"),
      DOCKER_CLI_HINTS: "false",
    };
  }

  /** Returns when the API answers. @throws Error with its log when it ends before that */
  async launch(): Promise<void> {
    if (this.#process) throw new Error("the daemon runs already");
    if (this.#gone) throw new Error("the daemon has been removed"); // by whoever ended the tests, which go on for a moment
    const child = Bun.spawn([...this.prefix, ...this.command], {
      env: { ...process.env, NOTIFY_FD: "3" },
      stdio: ["ignore", "ignore", "pipe", "pipe"],
    });
    this.#log = "";
    this.#logRead = this.#readLog(child.stderr);
    const ready = child.stdio[3];
    if (typeof ready !== "number") throw new Error("Cannot wait for the daemon: it got no pipe");
    if ((await Bun.file(ready).text()) === "") {
      await Promise.all([child.exited, this.#logRead]);
      throw new Error(`The daemon did not start: ${this.#log}`);
    }
    this.#process = child;
    if (this.#gone) await this.stop("SIGKILL");
  }

  async #readLog(stream: ReadableStream<Uint8Array>): Promise<void> {
    const decoder = new TextDecoder();
    for await (const bytes of stream) {
      this.#log += decoder.decode(bytes, { stream: true });
      this.#logged.resolve();
      this.#logged = Promise.withResolvers();
    }
    this.#logged.resolve();
  }

  /** Returns when this stands in its log: what a client sees may come sooner. @throws Error when the daemon ends before */
  async says(text: string): Promise<void> {
    for (let isOver = false; !this.#log.includes(text); ) {
      if (isOver) throw new Error(`the daemon's log never said ${text}: ${this.#log}`);
      isOver = await Promise.race([this.#logged.promise.then(() => false), this.#logRead.then(() => true)]);
    }
  }

  /** @returns its exit code, 128 + n after signal n */
  async stop(signal: NodeJS.Signals = "SIGTERM"): Promise<number> {
    const child = this.#process;
    if (!child) throw new Error("the daemon does not run");
    child.kill(signal);
    const code = await child.exited;
    await this.#logRead;
    this.#process = undefined;
    return code;
  }

  async restart(signal: NodeJS.Signals = "SIGTERM"): Promise<void> {
    await this.stop(signal);
    await this.launch();
  }

  /** A request over the unix socket, to any path as `/v1.43/info`. */
  api = (path: string, init: RequestInit = {}): Promise<Response> =>
    fetch(`http://docker${path}`, { ...init, unix: this.socket });

  /** @throws Error with the engine's message when it refuses */
  async json<T>(path: string, init: RequestInit = {}): Promise<T> {
    const response = await this.api(path, init);
    if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`);
    return (await response.json()) as T;
  }

  post = (path: string, body?: unknown): Promise<Response> =>
    this.api(path, {
      method: "POST",
      ...(body !== undefined && { body: JSON.stringify(body), headers: { "Content-Type": "application/json" } }),
    });

  /** Idempotent. */
  [Symbol.asyncDispose](): Promise<void> {
    this.#gone ??= this.#remove();
    return this.#gone;
  }

  /** From the last line to the first, each whether or not one before it failed. */
  async #remove(): Promise<void> {
    await using all = new AsyncDisposableStack();
    all.defer(this.#settled);
    all.use(this.folder);
    all.defer(() => removeRules(`bosun-${this.bridge}`).catch(() => {})); // without nft there are none
    all.defer(() => this.#letNobodyThrough());
    all.defer(() => this.#removeBridges());
    all.defer(() => this.#removeCgroups());
    all.defer(() => this.#endContainers());
    if (this.#process) await this.stop("SIGKILL");
  }

  async #endContainers(): Promise<void> {
    const runtime = new ShimRuntime({ runRoot: join(this.execRoot, "tasks"), program: builtFile("bosun-shim") });
    for (const id of [...(await runtime.list())].reverse()) {
      const task = await runtime.find(id);
      await task?.kill(9).catch(() => {}); // it has ended
      await task?.exited;
    }
  }

  /** Where the host drops what it forwards. */
  #letNobodyThrough(): Promise<void> {
    const exchange: Exchange = (request, pid) => exchangeNetlink(NETLINK.netfilter, request, pid);
    const table = `bosun-${this.bridge}`;
    return new HostFilter({ chain: `BOSUN-${this.bridge}`, table, exchange, log: silent }).let([]);
  }

  #removeBridges(): void {
    const netlink = new Netlink((request, pid) => exchangeNetlink(NETLINK.route, request, pid));
    for (const bridge of [this.bridge, ...this.bridges()]) netlink.remove(bridge);
  }

  /** Interfaces of the networks that it knows. */
  bridges(): readonly string[] {
    if (!existsSync(join(this.dataRoot, "bosun.db"))) return [];
    using database = new Database(join(this.dataRoot, "bosun.db"), { readonly: true });
    return database
      .query<{ id: string; record: string }, []>("SELECT id, record FROM networks")
      .all()
      .map((row): Network => ({ ...JSON.parse(row.record), id: row.id }))
      .flatMap((network) => (network.driver === "bridge" ? [bridgeSettings(network).bridge] : []));
  }

  async #removeCgroups(): Promise<void> {
    const cgroups = openCgroups();
    for (const id of await cgroupsBelow(this.cgroupParent)) await cgroups.remove(`${this.cgroupParent}/${id}`);
    await cgroups.remove(this.cgroupParent);
  }
}
