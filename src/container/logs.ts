/** What becomes of containers' logs while the daemon lives: rotated files are compressed, and entries sent on. The shims need none of it. */

import { join } from "node:path";
import { invalid, messageOf } from "../base/errors.ts";
import { Locks } from "../base/lock.ts";
import type { Logger } from "../base/logger.ts";
import { compressRotated } from "../log/compress.ts";
import type { LogDriver, LogEntry, LogSubject, LogTarget, ReadOptions } from "../log/driver.ts";
import { Forwarder } from "../log/forwarder.ts";
import type { LogOptions } from "../log/options.ts";
import type { Task } from "../runtime/runtime.ts";
import { argvOf } from "./config.ts";
import type { Container, Records } from "./records.ts";

export interface ContainerLogsOptions {
  readonly records: Records;
  readonly drivers: readonly LogDriver[];
  readonly log: Logger;
}

/** How long the removal of a container waits for what a collector still takes. */
const REMOVAL_MS = 3000;

const subjectOf = ({ id, name, imageId, created, config }: Container): LogSubject => {
  const { image, labels, env } = config;
  return { id, name, image, imageId, created, labels, env, command: argvOf(config) };
};

/** As Moby has it. @throws invalid */
function logDriverOf(drivers: readonly LogDriver[], name: string): LogDriver {
  const driver = drivers.find((one) => one.name === name);
  if (!driver) throw invalid(`logger: no log driver named '${name}' is registered`);
  return driver;
}

const NOBODY: LogSubject = {
  ...{
    id: "0".repeat(64),
    name: "container",
    image: "image",
    imageId: "sha256:",
    created: "",
    command: [],
    labels: {},
    env: [],
  },
};

/** What containers get that say nothing of their log. @throws invalid, unavailable */
export function checkLogDefaults(drivers: readonly LogDriver[], name: string, options: LogOptions): void {
  try {
    logDriverOf(drivers, name).target("/", options, NOBODY);
  } catch (error) {
    throw invalid(`failed to set log opts: ${messageOf(error)}`);
  }
}

export class ContainerLogs implements AsyncDisposable {
  readonly #options: ContainerLogsOptions;
  readonly #forwarders = new Map<string, Forwarder>();
  readonly #locks = new Locks();
  /** By container: ends what is done for its log. */
  readonly #ends = new Map<string, AbortController>();
  /** What goes on beside, to be waited for at the end. */
  readonly #work = new Set<Promise<void>>();

  constructor(options: ContainerLogsOptions) {
    this.#options = options;
  }

  #driver({ host }: Container): LogDriver {
    return logDriverOf(this.#options.drivers, host.log.driver);
  }

  /** Its current file; undefined when none is kept. */
  #file(container: Container): string | undefined {
    const name = this.#driver(container).file?.(container.id);
    return name === undefined ? undefined : join(this.#options.records.folder(container.id), name);
  }

  /** The file that other tools may read; empty when there is none. */
  publicPath(container: Container): string {
    return this.#driver(container).isPublic ? (this.#file(container) ?? "") : "";
  }

  /** What the shim writes. @throws invalid, unavailable when the driver cannot do as it is asked */
  target(container: Container): LogTarget | undefined {
    const path = this.#file(container) ?? "";
    return this.#driver(container).target(path, container.host.log.options, subjectOf(container));
  }

  /** @throws notImplemented when this driver's logs cannot be read */
  read(container: Container, options: ReadOptions): AsyncIterable<readonly LogEntry[]> {
    return this.#driver(container).read(this.#file(container) ?? "", options, container.host.log.options);
  }

  /** It runs, since just now or for long: its log is looked after until its end. */
  watch(container: Container, task: Task): void {
    this.#attempt(container, () => {
      const target = this.target(container);
      const forwarder = this.#forwarder(container);
      const signal = this.#endOf(container.id);
      if (forwarder) this.#track(container, this.#forward(task, forwarder, signal));
      if (target?.compress) this.#track(container, this.#compress(container.id, task, target, signal));
    });
  }

  /** It does not run: what is left to do is done. */
  resume(container: Container): void {
    this.#attempt(container, () => {
      const target = this.target(container);
      const forwarder = this.#forwarder(container);
      if (forwarder) this.#track(container, forwarder.finish());
      if (target?.compress) this.#track(container, this.#compressNow(container.id, target, this.#endOf(container.id)));
    });
  }

  /** Its files are about to go. */
  async release(id: string): Promise<void> {
    const forwarder = this.#forwarders.get(id);
    await forwarder?.settled(REMOVAL_MS);
    await forwarder?.[Symbol.asyncDispose]();
    this.#forwarders.delete(id);
    this.#ends.get(id)?.abort();
    this.#ends.delete(id);
    await using _ = await this.#locks.acquire(id); // nobody compresses
  }

  #endOf(id: string): AbortSignal {
    const end = this.#ends.get(id) ?? new AbortController();
    this.#ends.set(id, end);
    return end.signal;
  }

  /** What keeps a log from being sent on keeps nobody from running. */
  #attempt(container: Container, work: () => void): void {
    try {
      work();
    } catch (error) {
      this.#options.log.error("a container's log is not looked after", { id: container.id, error: messageOf(error) });
    }
  }

  #track(container: Container, work: Promise<void>): void {
    const tracked = work
      .catch((error) =>
        this.#options.log.error("a container's log is not looked after", { id: container.id, error: messageOf(error) }),
      )
      .finally(() => this.#work.delete(tracked));
    this.#work.add(tracked);
  }

  #forwarder(container: Container): Forwarder | undefined {
    const { id, host } = container;
    const present = this.#forwarders.get(id);
    if (present?.goOn()) return present;
    const path = this.#file(container);
    const sink = this.#driver(container).sink?.(host.log.options, subjectOf(container));
    if (!sink || path === undefined) return undefined;
    const { log } = this.#options;
    const forwarder = new Forwarder({ path, cursorPath: `${path}.sent`, sink, log, containerId: id });
    this.#forwarders.set(id, forwarder);
    return forwarder;
  }

  async #forward(task: Task, forwarder: Forwarder, signal: AbortSignal): Promise<void> {
    for await (const _ of task.logChanges(signal)) forwarder.wake();
    if (!signal.aborted) await forwarder.finish();
  }

  async #compress(id: string, task: Task, target: LogTarget, signal: AbortSignal): Promise<void> {
    for await (const _ of task.logChanges(signal, "rotations")) await this.#compressNow(id, target, signal);
    await this.#compressNow(id, target, signal);
  }

  async #compressNow(id: string, { path, maxFiles }: LogTarget, signal: AbortSignal): Promise<void> {
    await using _ = await this.#locks.acquire(id);
    if (signal.aborted) return;
    await compressRotated(path, maxFiles).catch((error) =>
      this.#options.log.warn("a log's older files stay uncompressed", { id, error: messageOf(error) }),
    );
  }

  /** The next daemon goes on. */
  async [Symbol.asyncDispose](): Promise<void> {
    for (const end of this.#ends.values()) end.abort();
    await Promise.all([...this.#forwarders.values()].map((one) => one[Symbol.asyncDispose]()));
    await Promise.all(this.#work);
  }
}
