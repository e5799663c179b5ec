/**
 * What a container holds while it runs: addresses, cgroups, mounts, files in /etc, and the task. Made in order by `create`, given back by
 * `cleanup`, which may be called at any time and any number of times.
 */

import { hostname as hostHostname } from "node:os";
import { join } from "node:path";
import { conflict, messageOf } from "../base/errors.ts";
import type { Logger } from "../base/logger.ts";
import { together } from "../base/together.ts";
import type { Endpoint } from "../network/driver.ts";
import type { Publication } from "../network/published-ports.ts";
import type { Runtime, Task } from "../runtime/runtime.ts";
import type { Snapshots, Tree } from "../store/snapshot.ts";
import { checkSources, createSources, isThere } from "./bind-sources.ts";
import type { CdiDevices } from "./cdi.ts";
import type { ContainerCgroups } from "./cgroups.ts";
import { type Bind, type HostConfig, mergeEnv, type ProcessConfig, type Ulimit } from "./config.ts";
import type { Confinement } from "./confinement.ts";
import { containerRules } from "./device-rules.ts";
import { hostDevices, mappedDevices } from "./devices.ts";
import { Etc } from "./etc.ts";
import { HOST_GATEWAY, parseExtraHost, type Resolver } from "./etc-files.ts";
import { bundleFor, hookState } from "./hook-state.ts";
import type { HostResolv } from "./host-resolv.ts";
import { type Injection, injectionOf } from "./injection.ts";
import { linkedAtStart, linkedNow } from "./legacy-links.ts";
import { type Linked, linkVariables } from "./links.ts";
import type { ContainerLogs } from "./logs.ts";
import { joinedBy, networkDonor } from "./namespaces.ts";
import type { Networking } from "./networking.ts";
import { containerPlan, execPlan, holdPlan } from "./plan.ts";
import { privateMountFor } from "./propagation.ts";
import type { Container, Records } from "./records.ts";
import { RootMounts } from "./root-mounts.ts";
import type { Trace } from "./trace.ts";
import type { ContainerVolumes } from "./volumes.ts";

/** What the daemon's configuration says where a request is silent. */
export interface LaunchDefaults {
  readonly init: boolean;
  readonly ulimits: readonly Ulimit[];
  readonly resolver: Resolver;
  /** Addresses of the host that `host-gateway` means; none for the default bridge's. */
  readonly hostGateways: readonly string[];
}

export interface LauncherOptions {
  readonly records: Records;
  readonly runtime: Runtime;
  readonly cgroups: ContainerCgroups;
  readonly snapshotter: Snapshots;
  readonly networking: Networking;
  readonly volumes: ContainerVolumes;
  readonly cdi: CdiDevices;
  readonly logs: ContainerLogs;
  readonly log: Logger;
  readonly defaults: LaunchDefaults;
  readonly hostResolv: HostResolv;
  /** A folder that exists; roots are mounted on it in their own mount namespaces. */
  readonly rootfs: string;
  /** A folder that has what makeSkeleton makes. */
  readonly skeleton: string;
  /** The program that `--init` runs. */
  readonly initPath: string;
  readonly confinement: Confinement;
}

export class Launcher {
  readonly #options: LauncherOptions;
  readonly #roots: RootMounts;
  readonly #etc: Etc;

  constructor(options: LauncherOptions) {
    this.#options = options;
    this.#roots = new RootMounts(options);
    this.#etc = new Etc({
      folderOf: (id) => options.records.folder(id),
      resolver: options.defaults.resolver,
      hostResolv: options.hostResolv,
      isNamed: (id) => options.networking.naming.isNamed(id),
    });
  }

  get etc(): Etc {
    return this.#etc;
  }

  defaultHostname(id: string, { namespaces }: HostConfig): string {
    return namespaces.network === "host" || namespaces.uts === "host" ? hostHostname() : id.slice(0, 12);
  }

  get networking(): Networking {
    return this.#options.networking;
  }

  /** For events; one that is gone by now has but its id. */
  network(id: string): { readonly name: string; readonly type: string } {
    return this.#options.networking.describe(id);
  }

  /** Everything about a request that can be told before anything is made. @throws invalid, notImplemented */
  async check(container: Container): Promise<void> {
    const { host } = container;
    this.#options.confinement.check(host);
    this.#options.logs.target(container);
    for (const entry of host.extraHosts) parseExtraHost(entry);
    await checkSources(host.binds);
  }

  /**
   * Makes the task, connected and ready to go. After a throw, `cleanup` gives back what there is.
   * @param early  nobody waits for it, perhaps since the host has just booted: its addresses may come later
   */
  async create(
    container: Container,
    early: boolean,
    trace: Trace,
  ): Promise<{ readonly task: Task; readonly endpoints: readonly Endpoint[]; readonly publication: Publication }> {
    const { id, config, host } = container;
    const { networking, runtime, rootfs, initPath, defaults, records, volumes, cdi, logs, confinement } = this.#options;
    this.#roots.hold(container);
    const donor = networkDonor(container, records);
    const joined = { ...joinedBy(host.namespaces, records), ...(donor && { network: donor.pid }) };
    const { hostname, domainname } = (donor ?? container).config;
    const mounted = await volumes.mount(container);
    trace.step("volumes");
    const injection = await injectionOf(host, cdi);
    const devices = [...(await Promise.all(host.devices.map(mappedDevices))).flat(), ...injection.devices];
    trace.step("devices");
    const linked = linkedAtStart(container, records, networking.find("bridge")?.id ?? "");
    const endpoints = await networking.reserve(container);
    const gateways = await this.#gateways(host);
    const ports = await networking.publish(container, early);
    trace.step("addresses");
    const deviceRules = containerRules(host, devices);
    const [cgroups, { root: rootMounts, images }, nodes] = await together(
      this.#options.cgroups.create(id, host.resources, deviceRules),
      this.#roots.of(container),
      host.privileged ? hostDevices() : [],
      donor ? undefined : this.#etc.write(container, endpoints, linked, gateways),
      createSources(host.binds),
    );
    trace.step("cgroupsAndMounts");
    if (injection.hooks.length > 0) await records.writeFiles(id, { "config.json": bundleFor(rootfs) });
    const isolation = await confinement.isolation(host);
    const privateMount = await privateMountFor(host.binds, rootfs);
    const plan = containerPlan({
      config: { ...config, hostname, domainname, env: this.#env(container, linked, injection) },
      privateMount,
      host: { ...host, groupAdd: [...host.groupAdd, ...injection.groups] },
      binds: [...host.binds, ...mounted, ...images, ...injection.binds],
      rootMounts,
      rootfs,
      log: logs.target(container),
      cgroups,
      joined,
      isolation,
      devices: [...nodes, ...devices.map(({ node }) => node)],
      deviceRules,
      ulimits: mergeUlimits(defaults.ulimits, host.ulimits),
      folder: records.folder((donor ?? container).id),
      hooks: injection.hooks,
      hookState: hookState(id, records.folder(id)),
      init: (host.init ?? defaults.init) && host.namespaces.pid === "private" ? initPath : undefined,
    });
    trace.step("plan");
    const task = await runtime.create(id, plan);
    trace.step("process");
    try {
      await networking.connectAll(id, task.pid);
      await ports.follow(task.pid);
      trace.step("connect");
      await resizeTo(task, config, host.consoleSize);
    } catch (error) {
      await abandon(task);
      throw error;
    }
    return { task, endpoints, publication: ports.publication };
  }

  /** What its devices need counts most, what containers are like that it is linked to least. */
  #env({ config }: Container, linked: readonly Linked[], injection: Injection): readonly string[] {
    return mergeEnv(linked.flatMap(linkVariables), mergeEnv(config.env, injection.env));
  }

  /** What `host-gateway` means, should somebody ask: an address of the host's, which has to be there. */
  async #gateways({ extraHosts }: HostConfig): Promise<readonly string[]> {
    if (!extraHosts.some((entry) => parseExtraHost(entry).address === HOST_GATEWAY)) return [];
    const { hostGateways } = this.#options.defaults;
    return hostGateways.length > 0 ? hostGateways : this.networking.endpoints.bridgeAddresses();
  }

  /** Containers that a running one is linked to, and that run. */
  linkedNow(container: Container): readonly Linked[] {
    return linkedNow(container, this.#options.records, this.networking.find("bridge")?.id ?? "");
  }

  /** A process that joins a running container, ready to go. @throws PlanError */
  async createExec(
    container: Container,
    id: string,
    process: ProcessConfig & { readonly privileged: boolean },
    consoleSize: HostConfig["consoleSize"],
  ): Promise<Task> {
    const { runtime, cgroups, confinement, defaults } = this.#options;
    const { state, host, config } = container;
    if (state.phase !== "running") throw conflict(`container ${container.id} is not running`);
    const plan = execPlan({
      process,
      hostname: config.hostname,
      pid: state.pid,
      groups: host.groupAdd,
      cgroups: await cgroups.places(container.id),
      isolation: await confinement.isolation(host, host.privileged || process.privileged),
      runtime: host.runtime,
      ulimits: mergeUlimits(defaults.ulimits, host.ulimits),
      oomScoreAdj: host.oomScoreAdj,
    });
    const task = await runtime.create(`${container.id}/${id}`, plan);
    await resizeTo(task, process, consoleSize).catch(async (error) => {
      await abandon(task);
      throw error;
    });
    return task;
  }

  /**
   * A process that holds the root and mounts of a container that does not run; its lock is held meanwhile.
   * @returns the process; dispose of it to give everything back. @throws PlanError, invalid
   */
  async hold(container: Container): Promise<AsyncDisposable & { readonly pid: number }> {
    const { runtime, rootfs, records, volumes } = this.#options;
    const { id, host } = container;
    await using undo = new AsyncDisposableStack();
    this.#roots.hold(container);
    undo.defer(() => this.#roots.letGo(id));
    undo.defer(() => volumes.unmount(id));
    const { root: rootMounts, images } = await this.#roots.of(container);
    const binds = [...host.binds.map(unshared), ...(await volumes.mount(container)), ...images];
    const folder = records.folder(id);
    const plan = holdPlan({ host, binds, rootMounts, rootfs, folder, hasEtc: await isThere(join(folder, "hosts")) });
    const task = await runtime.create(id, plan);
    undo.defer(() => abandon(task));
    const held = undo.move();
    return { pid: task.pid, [Symbol.asyncDispose]: () => held.disposeAsync() };
  }

  /** The process of a container that an earlier daemon started, and what it holds. @returns undefined when it left no trace */
  async adopt(container: Container): Promise<Task | undefined> {
    const { runtime, cgroups } = this.#options;
    const { id, state } = container;
    const task = await runtime.find(id);
    if (!task) return undefined;
    // A daemon that died while it held the processes still, as for a commit, let nobody go; or it had let go of what it was told to pause.
    await (state.phase === "paused" ? cgroups.freeze(id) : cgroups.thaw(id)).catch(() => {}); // it has ended
    this.#roots.hold(container);
    await this.#adoptNetworks(container, task.pid);
    return task;
  }

  /** What of them is lost must not take the container along. */
  async #adoptNetworks(container: Container, pid: number): Promise<void> {
    const { networking, records, log } = this.#options;
    const { leaving } = container;
    const settled = { ...container, leaving: undefined };
    await networking
      .adopt(container, pid, (one) => void records.save({ ...one, leaving: undefined }))
      .catch((error) => log.error("a container has lost its ports", { id: container.id, error: messageOf(error) }));
    if (!leaving) return;
    await this.#etc
      .rewriteHosts({ ...settled, endpoints: [...settled.endpoints, leaving] }, settled)
      .catch((error) => log.warn("a container's hosts file is old", { id: container.id, error: messageOf(error) }));
    records.save({ ...records.get(container.id), leaving: undefined });
  }

  /** Gives back all that a container holds while it runs. Idempotent. */
  async cleanup(id: string): Promise<void> {
    const { networking, cgroups, volumes } = this.#options;
    try {
      await together(networking.release(id), cgroups.remove(id), volumes.unmount(id));
    } finally {
      this.#roots.letGo(id);
    }
  }

  /** @returns its root as it would see it, without what is mounted in it, to be read. @throws notFound */
  readRoot(id: string): Promise<Tree> {
    return this.#roots.read(id);
  }

  /** Removes the run directory of a container that does not run, should there be one. */
  async forget(id: string): Promise<void> {
    await (await this.#options.runtime.find(id))?.delete();
  }

  /** Layers that nobody uses any more need not stay mounted. */
  releaseLayers(): Promise<void> {
    return this.#roots.release();
  }

  /** At start: what a crash left of containers that do not run. */
  async sweep(running: ReadonlySet<string>): Promise<void> {
    const { runtime, cgroups, records, networking, log } = this.#options;
    for (const id of await runtime.list()) {
      const [container = ""] = id.split("/");
      if (running.has(container)) continue;
      log.info("removing what is left of a container", { id });
      const task = await runtime.find(id);
      if (task) await abandon(task);
    }
    const remove = (id: string) =>
      cgroups.remove(id).catch((error) => log.warn("a cgroup stays", { id, error: messageOf(error) }));
    for (const id of await cgroups.list()) if (!running.has(id)) await remove(id);
    for (const { id, host } of records.all()) if (host.cgroupParent !== "" && !running.has(id)) await remove(id); // not in the list: elsewhere others have theirs, too
    await networking.naming.restore();
    await this.releaseLayers();
  }
}

/** What is only looked at has no part in what is mounted elsewhere. */
const unshared = (bind: Bind): Bind => ({ ...bind, propagation: "rprivate" });

async function abandon(task: Task): Promise<void> {
  await task.kill(9).catch(() => {}); // it has ended by itself
  await task.exited;
  await task.delete();
}

const resizeTo = async (
  task: Task,
  { tty }: ProcessConfig,
  [rows, columns]: HostConfig["consoleSize"],
): Promise<void> => {
  if (tty && rows > 0 && columns > 0) await task.resize(rows, columns);
};

const mergeUlimits = (defaults: readonly Ulimit[], own: readonly Ulimit[]): readonly Ulimit[] => [
  ...defaults.filter(({ name }) => !own.some((limit) => limit.name === name)),
  ...own,
];
