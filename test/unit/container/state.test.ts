import { describe, expect, test } from "bun:test";
import {
  type Ended,
  humanDuration,
  NEVER,
  type Phase,
  type State,
  statusText,
  transition,
} from "../../../src/container/state.ts";

const last: Ended = { code: 3, startedAt: NEVER, finishedAt: "2024-01-01T00:00:00.000Z", oomKilled: false, error: "" };
const STATES: Readonly<Record<Phase, State>> = {
  created: { phase: "created" },
  running: { phase: "running", pid: 7, startedAt: "2024-01-01T00:00:00.000Z" },
  paused: { phase: "paused", pid: 7, startedAt: "2024-01-01T00:00:00.000Z" },
  restarting: { phase: "restarting", last },
  exited: { phase: "exited", last },
  removing: { phase: "removing" },
  dead: { phase: "dead" },
};
const PHASES: readonly Phase[] = ["created", "running", "paused", "restarting", "exited", "removing", "dead"];

const ALLOWED: readonly string[] = [
  "created created",
  "created running",
  "created exited",
  "created removing",
  "running paused",
  "running restarting",
  "running exited",
  "paused running",
  "paused restarting",
  "paused exited",
  "restarting running",
  "restarting exited",
  "exited running",
  "exited exited",
  "exited removing",
  "removing dead",
  "dead removing",
];

describe("transition()", () => {
  test.each(PHASES.flatMap((from) => PHASES.map((to) => [from, to] as const)))(
    "transition() from %s to %s",
    (from, to) => {
      const change = () => transition(STATES[from], STATES[to]);
      if (ALLOWED.includes(`${from} ${to}`)) expect(change()).toBe(STATES[to]);
      else expect(change).toThrow(`a container that is ${from} cannot become ${to}`);
    },
  );
});

const [second, minute, hour, day] = [1000, 60_000, 3_600_000, 86_400_000];

describe("humanDuration()", () => {
  // as docker/go-units says them
  test.each<[ms: number, text: string]>([
    [0, "Less than a second"],
    [999, "Less than a second"],
    [second, "1 second"],
    [1999, "1 second"],
    [45 * second, "45 seconds"],
    [59_999, "59 seconds"],
    [minute, "About a minute"],
    [minute + 59_000, "About a minute"],
    [2 * minute, "2 minutes"],
    [59 * minute, "59 minutes"],
    [hour, "About an hour"],
    [hour + 29 * minute, "About an hour"],
    [hour + 31 * minute, "2 hours"],
    [10 * hour, "10 hours"],
    [47 * hour, "47 hours"],
    [48 * hour, "2 days"],
    [13 * day, "13 days"],
    [14 * day, "2 weeks"],
    [59 * day, "8 weeks"],
    [60 * day, "2 months"],
    [700 * day, "23 months"],
    [730 * day, "2 years"],
  ])("humanDuration(%p) is %p", (ms, text) => {
    expect(humanDuration(ms)).toBe(text);
  });
});

describe("statusText()", () => {
  const now = Date.parse("2024-01-01T00:05:00.000Z");

  test.each<[phase: Phase, text: string]>([
    ["created", "Created"],
    ["running", "Up 5 minutes"],
    ["paused", "Up 5 minutes (Paused)"],
    ["restarting", "Restarting (3) 5 minutes ago"],
    ["exited", "Exited (3) 5 minutes ago"],
    ["removing", "Removal In Progress"],
    ["dead", "Dead"],
  ])("statusText() of %s is %p", (phase, text) => {
    expect(statusText(STATES[phase], now)).toBe(text);
  });
});
