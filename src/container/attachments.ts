/**
 * Clients of a container's stdio. One that comes before the start waits, and is coupled when the process stands there but has not begun: its
 * first byte is not missed.
 */

import type { Duplex } from "node:stream";
import type { Logger } from "../base/logger.ts";
import type { Task } from "../runtime/runtime.ts";
import { type Coupling, type CouplingEnd, couple } from "./stdio.ts";

export interface AttachRequest extends Coupling {
  readonly stdout: boolean;
  readonly stderr: boolean;
}

interface Waiting {
  readonly client: Duplex;
  readonly request: AttachRequest;
  readonly done: (end: CouplingEnd) => void;
}

export class Attachments {
  readonly #waiting = new Map<string, Set<Waiting>>();
  /** Tasks that nobody waits for any more, and that do not count as running yet. */
  readonly #begun = new Map<string, Task>();

  constructor(readonly log: Logger) {}

  /** @returns when it is over; a task that has ended meanwhile counts as over */
  async couple(client: Duplex, task: Task, request: AttachRequest): Promise<CouplingEnd> {
    const { stdin, stdout, stderr } = request;
    try {
      return await couple(client, await task.attach({ stdin, stdout, stderr }), request);
    } catch (error) {
      this.log.debug("attach ended", { error });
      return "ended";
    }
  }

  /** Until the container starts, is removed, or the client leaves. */
  wait(id: string, client: Duplex, request: AttachRequest): Promise<CouplingEnd> {
    const begun = this.#begun.get(id);
    if (begun) return this.couple(client, begun, request);
    const { promise, resolve } = Promise.withResolvers<CouplingEnd>();
    const waiting = this.#waiting.get(id) ?? new Set<Waiting>();
    const own = { client, request, done: resolve };
    this.#waiting.set(id, waiting.add(own));
    client.once("close", () => {
      if (waiting.delete(own)) resolve("left");
    });
    return promise;
  }

  #take(id: string): readonly Waiting[] {
    const waiting = this.#waiting.get(id);
    const taken = [...(waiting ?? [])];
    this.#waiting.delete(id);
    waiting?.clear();
    return taken;
  }

  /**
   * Couples those who waited with a task that has not passed `go`.
   * @returns dispose of it once the container counts as running, or does not start: until then those who come are coupled at once
   */
  async begin(id: string, task: Task): Promise<Disposable> {
    this.#begun.set(id, task);
    for (const { client, request, done } of this.#take(id)) {
      const { stdin, stdout, stderr } = request;
      try {
        const stream = await task.attach({ stdin, stdout, stderr });
        void couple(client, stream, request).then(done);
      } catch (error) {
        this.log.debug("attach ended", { error }); // so has the task, and `go` will say why
        client.end();
        done("ended");
      }
    }
    return { [Symbol.dispose]: () => void this.#begun.delete(id) };
  }

  /** Those who waited for a start that will not be. */
  dismiss(id: string): void {
    for (const { client, done } of this.#take(id)) {
      client.end();
      done("ended");
    }
  }
}
