/** Namespaces that a container shares with another: whose they are, and whether they may be joined. Source of the words: Moby, daemon. */

import { BosunError, conflict, invalid, kindOf, messageOf } from "../base/errors.ts";
import { containerOf, type HostConfig, type Namespaces, type OfContainer } from "./config.ts";
import type { Joined } from "./plan.ts";
import type { Container, Records } from "./records.ts";
import { isLive } from "./state.ts";

type Mode = Namespaces["pid" | "ipc" | "network"];

/** Whether it is neither the host's nor another container's. */
export const isOwn = (mode: Mode): boolean => mode !== "host" && containerOf(mode) === undefined;

const isJoined = (mode: Mode): mode is OfContainer => containerOf(mode) !== undefined;

/** Containers by id, which outlives their names. */
function settled(namespaces: Namespaces, records: Records): Namespaces {
  const idOf = <T extends Mode>(mode: T): T | OfContainer => {
    if (!isJoined(mode)) return mode;
    try {
      return `container:${records.get(containerOf(mode) ?? "").id}`;
    } catch {
      return mode; // its start will tell
    }
  };
  return { ...namespaces, pid: idOf(namespaces.pid), ipc: idOf(namespaces.ipc), network: idOf(namespaces.network) };
}

/** The same of what inspect shows as the network mode. */
export function modesOf(
  { namespaces, networkMode }: Pick<HostConfig, "namespaces" | "networkMode">,
  records: Records,
): Pick<HostConfig, "namespaces" | "networkMode"> {
  const all = settled(namespaces, records);
  return { namespaces: all, networkMode: isJoined(all.network) ? all.network : networkMode };
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

/** Whose network a container shares that is about to run; undefined for none. @throws invalid, conflict in Docker's words */
export function networkDonor(
  { id, host }: Container,
  records: Records,
): (Container & { readonly pid: number }) | undefined {
  const reference = containerOf(host.namespaces.network);
  if (reference === undefined) return undefined;
  const donor = records.all().find((one) => one.id === reference) ?? records.get(reference);
  if (donor.id === id) throw invalid("cannot join own network namespace");
  if (donor.state.phase === "restarting")
    throw conflict(`Container ${donor.id} is restarting, wait until the container is running`);
  if (!isLive(donor.state)) throw conflict(`cannot join network of a non running container: ${donor.id}`);
  return { ...donor, pid: donor.state.pid };
}

/** Whose namespaces a container that is about to run joins. @throws invalid, conflict in Docker's words when it cannot */
export function joinedBy({ pid, ipc }: Namespaces, records: Records): Joined {
  const pids = pidOf("PID", pid, records, () => {});
  const ipcs = pidOf("IPC", ipc, records, checkShareable);
  return { ...(pids !== undefined && { pid: pids }), ...(ipcs !== undefined && { ipc: ipcs }) };
}

/** The file of a process's namespace, on the host. */
export const namespaceOf = (pid: number, name: string): string => `/proc/${pid}/ns/${name}`;
