/**
 * What happened, for those who watch: keeps the last 256 events, replays them, follows.
 * Source: Docker Engine API, SystemEvents; the size of the ring is Moby's.
 */

export type EventType = "container" | "image" | "network" | "volume" | "daemon" | "builder";

export interface EngineEvent {
  readonly type: EventType;
  /** As `create`, `die`, `exec_start: ls`. */
  readonly action: string;
  readonly id: string;
  readonly attributes: Readonly<Record<string, string>>;
  /** Nanoseconds since 1970. */
  readonly at: bigint;
}

export interface Subscription {
  /** Nanoseconds since 1970: replay what is kept from then on. */
  readonly since?: bigint;
  /** Nanoseconds since 1970: the stream ends there. */
  readonly until?: bigint;
  readonly signal?: AbortSignal;
}

const KEPT = 256;
/** A watcher that does not read is cut off at this many waiting events. */
const WAITING_LIMIT = 10_000;

const nowNs = (): bigint => BigInt(Date.now()) * 1_000_000n;

export class Events {
  readonly #ring: EngineEvent[] = [];
  readonly #watchers = new Set<(event: EngineEvent) => void>();
  #last = 0n;
  #total = 0;

  /** How many follow. */
  get watchers(): number {
    return this.#watchers.size;
  }

  /** How many there were since the daemon began. */
  get total(): number {
    return this.#total;
  }

  emit(type: EventType, action: string, id: string, attributes: Readonly<Record<string, string>> = {}): void {
    const now = nowNs();
    this.#last = now > this.#last ? now : this.#last + 1n; // clients sort and resume by time: no two events share one
    const event = { type, action, id, attributes, at: this.#last };
    this.#total += 1;
    this.#ring.push(event);
    if (this.#ring.length > KEPT) this.#ring.shift();
    for (const watch of this.#watchers) watch(event);
  }

  /** Replays from `since`, then follows until `until`, or until the signal aborts. Loses nothing in between. */
  async *watch({ since, until, signal }: Subscription): AsyncGenerator<EngineEvent> {
    const waiting = since === undefined ? [] : this.#ring.filter(({ at }) => at >= since);
    let wake = Promise.withResolvers<void>();
    const over = { now: false };
    const finish = () => {
      over.now = true;
      wake.resolve();
    };
    const watch = (event: EngineEvent) => {
      if (waiting.length < WAITING_LIMIT) {
        waiting.push(event);
        return wake.resolve();
      }
      this.#watchers.delete(watch);
      finish();
    };
    const remaining = until === undefined ? undefined : Number((until - nowNs()) / 1_000_000n);
    const timer =
      remaining === undefined ? undefined : setTimeout(finish, Math.max(0, Math.min(remaining, 2 ** 31 - 1)));
    signal?.addEventListener("abort", finish, { once: true });
    if (signal?.aborted) finish();
    this.#watchers.add(watch);
    try {
      for (;;) {
        for (const event of waiting.splice(0)) if (until === undefined || event.at <= until) yield event;
        if (over.now && waiting.length === 0) return;
        await wake.promise;
        wake = Promise.withResolvers<void>();
      }
    } finally {
      this.#watchers.delete(watch);
      signal?.removeEventListener("abort", finish);
      clearTimeout(timer);
    }
  }
}
