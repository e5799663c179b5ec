/** What a daemon does at start with the containers of the one before it: they ran on, have ended meanwhile, or were on the way. */

import { bootId } from "../base/boot.ts";
import { notFound } from "../base/errors.ts";
import type { Task } from "../runtime/runtime.ts";
import { beginning, checkOf } from "./health.ts";
import type { Life } from "./life.ts";
import { type Container, NOWHERE } from "./records.ts";
import type { Removal } from "./removal.ts";
import { comesUp } from "./restart.ts";
import { isLive, NEVER, transition } from "./state.ts";

/** From then on the task's end is the container's. */
type Watch = (container: Container, task: Task) => void;

/** Returns when every container is found again, and what belongs to none is gone. */
export async function restoreContainers(life: Life, removal: Removal, watch: Watch): Promise<void> {
  const { records, launcher, volumes, log } = life.options;
  life.restarts.hold(); // to the sweep, what starts meanwhile would look like what a crash has left
  for (const container of records.all()) volumes.restore(container);
  for (const container of records.all())
    await restoreOne(life, removal, watch, container).catch((error) =>
      log.error("cannot restore container", { id: container.id, error }),
    );
  await launcher.sweep(new Set(life.tasks.keys()));
  await volumes.sweep();
  life.restarts.release();
}

async function restoreOne(life: Life, removal: Removal, watch: Watch, known: Container): Promise<void> {
  if (isLive(known.state)) return adopt(life, watch, known);
  if (known.state.phase === "removing" || known.state.phase === "dead") return removal.erase(known);
  const container = known.starting === undefined ? known : await adoptStarting(life, watch, known);
  if (container === undefined) return;
  life.options.logs.resume(container);
  // It has ended, and nobody came to remove it; or it will not be started.
  if (container.host.autoRemove) await removal.removeEnded(container.id);
  else if (container.state.phase === "restarting" || (container.state.phase === "exited" && comesUp(container)))
    comeUp(life, container);
}

/** Whoever stopped it by hand did so for the daemon before this one. */
function comeUp(life: Life, { stopped: _, ...container }: Container): void {
  life.records.save(container);
  life.restarts.schedule(container.id, 0);
}

/** One that vanished counts as killed; or, when the machine went down meanwhile, as lost, which Docker tells as 255. */
async function adopt(life: Life, watch: Watch, container: Container): Promise<void> {
  const { launcher, log } = life.options;
  if (isOfThisBoot(container)) {
    const task = (await launcher.adopt(container)) ?? goneTask(137);
    log.debug("container found again", { id: container.id, pid: task.pid });
    return watch(container, task);
  }
  await launcher.forget(container.id); // in a run directory that outlives the machine, pids mean other processes now
  watch(container, goneTask(255));
}

const isOfThisBoot = ({ boot }: Container): boolean => boot === undefined || boot === bootId();

/**
 * The daemon died while it let the process go: it has run since then, or was never begun.
 * @returns the container when it does not run
 */
async function adoptStarting(life: Life, watch: Watch, container: Container): Promise<Container | undefined> {
  const { records, launcher } = life.options;
  const task = isOfThisBoot(container) ? await launcher.adopt(container) : undefined;
  if (task) {
    const running = started(container, task.pid);
    life.settle(running);
    watch(running, task);
    return undefined;
  }
  const { starting: _, ...before } = container;
  return records.save({ ...before, ...NOWHERE });
}

/** Of one that was about to: it runs. */
export function started({ starting, ...container }: Container, pid: number): Container {
  const { last } = container.state;
  const state = { phase: "running", pid, startedAt: starting ?? NEVER, ...(last && { last }) } as const;
  const isChecked = checkOf(container.config.healthcheck) !== undefined;
  return {
    ...container,
    state: transition(container.state, state),
    ...(isChecked && { health: beginning(container.health) }),
  };
}

/** Stands for a process that ended while nobody looked and left no word. */
const goneTask = (code: number): Task => ({
  pid: 0,
  exited: Promise.resolve({ code, at: new Date() }),
  go: async () => {},
  attach: () => Promise.reject(notFound("the container's process is gone")),
  resize: async () => {},
  kill: async () => {},
  async *logChanges() {},
  delete: async () => {},
});
