/** The life cycle of a container: one union, one table of transitions; Docker's booleans are a projection of it. */

import { conflict } from "../base/errors.ts";
import type { Health } from "./health.ts";

export interface Ended {
  /** As `docker wait` tells it. */
  readonly code: number;
  /** ISO 8601. So are the others. */
  readonly startedAt: string;
  readonly finishedAt: string;
  readonly oomKilled: boolean;
  /** Why it could not start, or could not be cleaned up. */
  readonly error: string;
}

/** Of one that has a process. */
interface Run {
  readonly pid: number;
  readonly startedAt: string;
  /** It has had no memory left, and lives on. */
  readonly oomKilled?: true;
  readonly last?: Ended;
}

export type State =
  | { readonly phase: "created"; readonly last?: Ended }
  | ({ readonly phase: "running" } & Run)
  | ({ readonly phase: "paused" } & Run)
  /** Has ended, and waits until its policy starts it again. */
  | { readonly phase: "restarting"; readonly last: Ended }
  | { readonly phase: "exited"; readonly last: Ended }
  | { readonly phase: "removing"; readonly last?: Ended }
  | { readonly phase: "dead"; readonly last?: Ended };

export type Phase = State["phase"];

/** From where to where. A container that failed to start stays `created` and carries the failure in `last`. */
const TRANSITIONS: Readonly<Record<Phase, readonly Phase[]>> = {
  created: ["created", "running", "exited", "removing"],
  running: ["paused", "restarting", "exited"],
  paused: ["running", "restarting", "exited"],
  restarting: ["running", "exited"],
  exited: ["running", "exited", "removing"],
  removing: ["dead"],
  dead: ["removing"],
};

/** Has a process. */
export type Live = Extract<State, { readonly pid: number }>;

export const isLive = (state: State): state is Live => state.phase === "running" || state.phase === "paused";

/** Counts as running for Docker: it may be stopped, and not be removed. */
export const isUp = (state: State): state is Live | Extract<State, { readonly phase: "restarting" }> =>
  isLive(state) || state.phase === "restarting";

/** @throws conflict when the table has no such transition */
export function transition(from: State, to: State): State {
  if (!TRANSITIONS[from.phase].includes(to.phase))
    throw conflict(`a container that is ${from.phase} cannot become ${to.phase}`);
  return to;
}

/** `0001-01-01T00:00:00Z`: Go's zero time, which clients take for never. */
export const NEVER = "0001-01-01T00:00:00Z";

/** A duration in Docker's words: `3 minutes`, `About an hour`. Source: docker/go-units HumanDuration. */
export function humanDuration(ms: number): string {
  const seconds = Math.floor(ms / 1000);
  const minutes = Math.floor(seconds / 60);
  const hours = Math.round(minutes / 60);
  if (seconds < 1) return "Less than a second";
  if (seconds < 60) return seconds === 1 ? "1 second" : `${seconds} seconds`;
  if (minutes < 60) return minutes === 1 ? "About a minute" : `${minutes} minutes`;
  if (hours < 48) return hours === 1 ? "About an hour" : `${hours} hours`;
  if (hours < 24 * 7 * 2) return `${Math.floor(hours / 24)} days`;
  if (hours < 24 * 30 * 2) return `${Math.floor(hours / 24 / 7)} weeks`;
  if (hours < 24 * 365 * 2) return `${Math.floor(hours / 24 / 30)} months`;
  return `${Math.floor(hours / 24 / 365)} years`;
}

/** As the list says it of one that runs. */
const healthText = (health: Health | undefined): string => {
  if (health === undefined) return "";
  return health.status === "starting" ? " (health: starting)" : ` (${health.status})`;
};

/** The `Status` text of a list. */
export function statusText(state: State, now: number, health?: Health): string {
  const age = (since: string) => humanDuration(now - Date.parse(since));
  switch (state.phase) {
    case "created":
      return "Created";
    case "running":
      return `Up ${age(state.startedAt)}${healthText(health)}`;
    case "paused":
      return `Up ${age(state.startedAt)} (Paused)`;
    case "restarting":
      return `Restarting (${state.last.code}) ${age(state.last.finishedAt)} ago`;
    case "exited":
      return `Exited (${state.last.code}) ${age(state.last.finishedAt)} ago`;
    case "removing":
      return "Removal In Progress";
    case "dead":
      return "Dead";
  }
}
