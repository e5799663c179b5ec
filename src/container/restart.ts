/**
 * Restart policies: which container starts again by itself, and after how long.
 * Source of the rules: Docker documentation, "Start containers automatically"; Moby, daemon/restartmanager.
 */

import { invalid } from "../base/errors.ts";
import type { Container } from "./records.ts";

const RESTART_POLICIES = ["no", "always", "unless-stopped", "on-failure", "on-unhealthy"] as const;
export type RestartPolicyName = (typeof RESTART_POLICIES)[number];

export interface RestartPolicy {
  /** `on-unhealthy` is ours: as `on-failure`, and also when the health check has failed. */
  readonly name: RestartPolicyName;
  /** 0 for no limit. Of `on-failure` and `on-unhealthy`. */
  readonly maximumRetryCount: number;
}

export const NO_RESTART: RestartPolicy = { name: "no", maximumRetryCount: 0 };

const isPolicy = (name: string): name is RestartPolicyName => RESTART_POLICIES.some((one) => one === name);
const counts = (name: string): boolean => name === "on-failure" || name === "on-unhealthy";

/** @param name  empty for `no`. @throws invalid in Docker's words */
export function toRestartPolicy(name: string, maximumRetryCount: number): RestartPolicy {
  if (name === "") return NO_RESTART; // whatever the count: old clients send one
  if (!isPolicy(name))
    throw invalid(
      `invalid restart policy: unknown policy '${name}'; use one of 'no', 'always', 'on-failure', or 'unless-stopped'`,
    );
  if (!counts(name) && maximumRetryCount !== 0)
    throw invalid(
      `invalid restart policy: maximum retry count can only be used with 'on-failure'${maximumRetryCount < 0 ? " and cannot be negative" : ""}`,
    );
  if (maximumRetryCount < 0) throw invalid("invalid restart policy: maximum retry count cannot be negative");
  return { name, maximumRetryCount };
}

/** What decides. */
type Candidate = Pick<Container, "host" | "restartCount" | "stopped">;
type Unwell = Candidate & Pick<Container, "config" | "health">;

const UNHEALTHY_LABEL = "bosun.restart-on-unhealthy";

/** @returns how often one that is unhealthy is started again; 0 for no limit, undefined for not at all */
function unhealthyLimit({ host, config }: Pick<Container, "host" | "config">): number | undefined {
  if (host.restart.name === "on-unhealthy") return host.restart.maximumRetryCount;
  const label = config.labels[UNHEALTHY_LABEL];
  if (label === undefined || label === "false") return undefined;
  return /^\d+$/.test(label) ? Number(label) : 0;
}

/** Whether one whose health check has failed is ended and started again: by its policy, or by its label with any policy. */
export function restartsUnhealthy(container: Unwell): boolean {
  const most = unhealthyLimit(container);
  return most !== undefined && !container.stopped && (most === 0 || container.restartCount < most);
}

/** Whether a container whose process has ended with this code starts again. */
export function startsAgain(container: Unwell, exitCode: number): boolean {
  const { host, restartCount, stopped, health } = container;
  const { name, maximumRetryCount: most } = host.restart;
  if (stopped) return false;
  if (health?.status === "unhealthy" && restartsUnhealthy(container)) return true;
  if (name === "always" || name === "unless-stopped") return true;
  return counts(name) && exitCode !== 0 && (most === 0 || restartCount < most);
}

/** Whether one that does not run is started with the daemon: who was stopped by hand stays so, unless it is `always`. */
export const comesUp = ({ host, stopped }: Candidate): boolean =>
  host.restart.name === "always" || (host.restart.name === "unless-stopped" && !stopped);

const FIRST_MS = 100;
const LONGEST_MS = 60_000;
/** Who has run so long begins anew. */
const STEADY_MS = 10_000;

/** @param before  the last delay, ms; 0 for none. @param ranMs  how long it ran since. @returns ms */
export function nextDelay(before: number, ranMs: number, firstMs = FIRST_MS): number {
  return before === 0 || ranMs >= STEADY_MS ? firstMs : Math.min(before * 2, LONGEST_MS);
}

/** Containers that wait for their next start. Kept in memory: the next daemon begins with the shortest delay. */
export class Restarts {
  readonly #delays = new Map<string, number>();
  readonly #timers = new Map<string, Timer>();
  #held: Map<string, number> | undefined;

  /** @param start  called when the time has come; never throws */
  constructor(
    readonly start: (id: string) => Promise<void>,
    readonly firstMs = FIRST_MS,
  ) {}

  /** @param ranMs  how long it ran */
  schedule(id: string, ranMs: number): void {
    const delay = nextDelay(this.#delays.get(id) ?? 0, ranMs, this.firstMs);
    this.#delays.set(id, delay);
    if (this.#held) this.#held.set(id, delay);
    else this.#arm(id, delay);
  }

  #arm(id: string, delay: number): void {
    clearTimeout(this.#timers.get(id));
    const timer = setTimeout(() => {
      this.#timers.delete(id);
      void this.start(id);
    }, delay);
    this.#timers.set(id, timer);
  }

  /** Nothing starts until `release`. */
  hold(): void {
    this.#held ??= new Map();
  }

  release(): void {
    const held = this.#held ?? [];
    this.#held = undefined;
    for (const [id, delay] of held) this.#arm(id, delay);
  }

  /** Somebody else has started, stopped or removed it. */
  forget(id: string): void {
    clearTimeout(this.#timers.get(id));
    this.#timers.delete(id);
    this.#held?.delete(id);
    this.#delays.delete(id);
  }

  /** At the daemon's end: what waits is the next one's. */
  [Symbol.dispose](): void {
    this.hold(); // what ends from now on waits, too
    for (const timer of this.#timers.values()) clearTimeout(timer);
    this.#timers.clear();
  }
}
