/** `docker update`: other limits and another restart policy, for a container that runs or does not. Source of the rules: Moby, daemon/update.go. */

import { conflict, kindOf } from "../base/errors.ts";
import type { HostConfig } from "./config.ts";
import type { Life } from "./life.ts";
import type { Container } from "./records.ts";
import { changesPorts, type PublishChange, publishing } from "./republish.ts";
import type { Resources } from "./resources.ts";
import type { RestartPolicy } from "./restart.ts";
import { isLive } from "./state.ts";

/** Only what is to change. */
export type ResourceChange = Partial<Resources>;

export interface Update {
  readonly resources: ResourceChange;
  /** Undefined: stays as it is. */
  readonly restart: RestartPolicy | undefined;
  readonly publish: PublishChange;
}

/** Swap that nobody spoke of is as much again as memory; what was meant then stays when memory changes. */
const swapOf = ({ memory, memorySwap }: Resources): number =>
  memorySwap === 0 && memory > 0 ? memory * 2 : memorySwap;

/** Pure. @throws conflict in Docker's words, when what is asked for contradicts what stays */
export function updatedResources(before: Resources, change: ResourceChange): Resources {
  if (change.nanoCpus && (before.cpuQuota > 0 || before.cpuPeriod > 0))
    throw conflict("Conflicting options: Nano CPUs cannot be updated as CPU Period/Quota has already been set");
  if ((change.cpuQuota || change.cpuPeriod) && before.nanoCpus > 0)
    throw conflict("Conflicting options: CPU Period/Quota cannot be updated as NanoCPUs has already been set");
  const memorySwap = change.memorySwap ?? swapOf(before);
  const after = { ...before, ...change, memorySwap };
  if (memorySwap > 0 && after.memory === 0)
    throw conflict("You should always set the Memory limit when using Memoryswap limit, see usage");
  if (memorySwap > 0 && after.memory > memorySwap)
    throw conflict(
      change.memorySwap === undefined
        ? "Memory limit should be smaller than already set memoryswap limit, update the memoryswap at the same time"
        : "Minimum memoryswap limit should be larger than memory limit, see usage",
    );
  return after;
}

function updatedHost(host: HostConfig, { resources, restart }: Update): HostConfig {
  if (restart && restart.name !== "no" && host.autoRemove)
    throw conflict("Restart policy cannot be updated because AutoRemove is enabled for the container");
  return { ...host, resources: updatedResources(host.resources, resources), restart: restart ?? host.restart };
}

export class Updates {
  readonly #life: Life;

  constructor(life: Life) {
    this.#life = life;
  }

  /**
   * The cgroup first: what the kernel refuses is not written down.
   * @returns warnings. @throws conflict, invalid; all is then as before
   */
  async update(reference: string, update: Update): Promise<readonly string[]> {
    const { id } = this.#life.get(reference);
    await using _ = await this.#life.locks.acquire(id);
    const container = this.#life.get(id);
    const { state, host } = container;
    if (state.phase === "removing" || state.phase === "dead")
      throw conflict(`Cannot update container ${id}: container is marked for removal and cannot be "update"`);
    const { cgroups, records } = this.#life.options;
    const asked = updatedHost(publishing(container, update.publish), update);
    const updated = { ...asked, resources: cgroups.possible(asked.resources) };
    if (isLive(state))
      await cgroups.update(id, host.resources, updated.resources).catch((error: unknown) => {
        if (kindOf(error) !== "notFound") throw error; // it has just ended
      });
    const published = await this.#republish(container, updated, update.publish);
    const changed = records.save({ ...container, ...published, host: updated });
    await records.writeFiles(id, { "hostconfig.json": updated });
    this.#life.emit(changed, "update");
    return cgroups.warnings(asked.resources);
  }

  /** After all that may fail otherwise: a port that somebody has leaves limits that are set, and nothing written. */
  async #republish(container: Container, host: HostConfig, change: PublishChange): Promise<Partial<Container>> {
    if (!isLive(container.state) || !changesPorts(change)) return {};
    const { launcher, records } = this.#life.options;
    const [after, { pid }] = [{ ...container, host }, container.state];
    const save = (one: Container) => void records.save(one);
    return { publication: await launcher.networking.republish({ before: container, after, pid, save }) };
  }
}
