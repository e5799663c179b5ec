/** Namespaces that a container shares with another: whose they are, and whether they may be joined. Source of the words: Moby, daemon. */

import { BosunError, conflict, invalid, kindOf, messageOf } from "../base/errors.ts";
import { containerOf, type Namespaces, type OfContainer } from "./config.ts";
import type { Joined } from "./plan.ts";
import type { Container, Records } from "./records.ts";
import { isLive } from "./state.ts";

type Mode = Namespaces["pid" | "ipc"];

/** Whether it is neither the host's nor another container's. */
export const isOwn = (mode: Mode): boolean => mode !== "host" && containerOf(mode) === undefined;

const isJoined = (mode: Mode): mode is OfContainer => containerOf(mode) !== undefined;

/** Containers by id, which outlives their names. */
export function settled(namespaces: Namespaces, records: Records): Namespaces {
  const idOf = <T extends Mode>(mode: T): T | OfContainer => {
    if (!isJoined(mode)) return mode;
    try {
      return `container:${records.get(containerOf(mode) ?? "").id}`;
    } catch {
      return mode; // its start will tell
    }
  };
  return { ...namespaces, pid: idOf(namespaces.pid), ipc: idOf(namespaces.ipc) };
}

/** A container that runs, so that it can be joined. @throws invalid, conflict */
function running(reference: string, records: Records): Container {
  let container: Container;
  try {
    container = records.get(reference);
  } catch (error) {
    throw invalid(messageOf(error)); // only of a missing image may clients hear that something is not found
  }
  if (container.state.phase === "restarting")
    throw conflict(`Container ${container.id} is restarting, wait until the container is running`);
  if (!isLive(container.state)) throw conflict(`container ${container.id} is not running`);
  return container;
}

function checkShareable({ id, host }: Container): void {
  if (host.namespaces.ipc === "private" || host.namespaces.ipc === "none")
    throw invalid(`container ${id}: non-shareable IPC (hint: use IpcMode:shareable for the donor container)`);
}

function pidOf(what: string, mode: Mode, records: Records, check: (container: Container) => void): number | undefined {
  const reference = containerOf(mode);
  if (reference === undefined) return undefined;
  try {
    const container = running(reference, records);
    check(container);
    return isLive(container.state) ? container.state.pid : undefined;
  } catch (error) {
    throw new BosunError(kindOf(error), `failed to join ${what} namespace: ${messageOf(error)}`);
  }
}

/** Whose namespaces a container that is about to run joins. @throws invalid, conflict in Docker's words when it cannot */
export function joinedBy({ pid, ipc }: Namespaces, records: Records): Joined {
  const pids = pidOf("PID", pid, records, () => {});
  const ipcs = pidOf("IPC", ipc, records, checkShareable);
  return { ...(pids !== undefined && { pid: pids }), ...(ipcs !== undefined && { ipc: ipcs }) };
}
