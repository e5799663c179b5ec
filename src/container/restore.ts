/** What a daemon does at start with the containers of the one before it: they ran on, have ended meanwhile, or were on the way. */

import { notFound } from "../base/errors.ts";
import type { Task } from "../runtime/runtime.ts";
import type { Life } from "./life.ts";
import type { Container } from "./records.ts";
import type { Removal } from "./removal.ts";
import { isLive, NEVER, transition } from "./state.ts";

/** From then on the task's end is the container's. */
type Watch = (container: Container, task: Task) => void;

/** Returns when every container is found again, and what belongs to none is gone. */
export async function restoreContainers(life: Life, removal: Removal, watch: Watch): Promise<void> {
  const { records, launcher, log } = life.options;
  for (const container of records.all())
    await restoreOne(life, removal, watch, container).catch((error) =>
      log.error("cannot restore container", { id: container.id, error }),
    );
  await launcher.sweep(new Set(life.tasks.keys()));
}

async function restoreOne(life: Life, removal: Removal, watch: Watch, container: Container): Promise<void> {
  const { id, state, starting, host } = container;
  if (isLive(state)) await adopt(life, watch, container);
  else if (state.phase === "removing" || state.phase === "dead") await removal.erase(container);
  else if (starting !== undefined) await adoptStarting(life, removal, watch, container);
  else if (host.autoRemove) await removal.removeEnded(id); // it has ended, and nobody came to remove it; or it will not be started
}

/** One that vanished counts as killed. */
async function adopt(life: Life, watch: Watch, container: Container): Promise<void> {
  const { launcher, log } = life.options;
  const task = (await launcher.adopt(container)) ?? goneTask;
  log.debug("container found again", { id: container.id, pid: task.pid });
  watch(container, task);
}

/** The daemon died while it let the process go: it has run since then, or was never begun. */
async function adoptStarting(life: Life, removal: Removal, watch: Watch, container: Container): Promise<void> {
  const { records, launcher } = life.options;
  const task = await launcher.adopt(container);
  if (task) {
    const running = started(container, task.pid);
    life.settle(running);
    return watch(running, task);
  }
  const { starting: _, ...before } = container;
  records.save({ ...before, endpoint: undefined });
  if (container.host.autoRemove) await removal.removeEnded(container.id);
}

/** Of one that was about to: it runs. */
export function started({ starting, ...container }: Container, pid: number): Container {
  const { last } = container.state;
  const state = { phase: "running", pid, startedAt: starting ?? NEVER, ...(last && { last }) } as const;
  return { ...container, state: transition(container.state, state) };
}

/** Stands for a process that ended while nobody looked and left no word. */
const goneTask: Task = {
  pid: 0,
  exited: Promise.resolve({ code: 137, signal: 9, at: new Date() }),
  go: async () => {},
  attach: () => Promise.reject(notFound("the container's process is gone")),
  resize: async () => {},
  kill: async () => {},
  async *logChanges() {},
  delete: async () => {},
};
