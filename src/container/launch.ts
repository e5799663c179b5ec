/**
 * What a container holds while it runs: addresses, cgroups, mounts, files in /etc, and the task. Made in order by `create`, given back by
 * `cleanup`, which may be called at any time and any number of times.
 */

import { mkdir, stat } from "node:fs/promises";
import { hostname as hostHostname } from "node:os";
import { join } from "node:path";
import { conflict, hasCode, invalid, messageOf } from "../base/errors.ts";
import type { Logger } from "../base/logger.ts";
import { together } from "../base/together.ts";
import type { Endpoint } from "../network/driver.ts";
import type { Publication } from "../network/published-ports.ts";
import { UNCONFINED } from "../runtime/apparmor-policy.ts";
import type { DeviceRule } from "../runtime/cgroup.ts";
import type { Runtime, Task } from "../runtime/runtime.ts";
import type { SeccompFilter } from "../runtime/seccomp.ts";
import type { Mount, Snapshots } from "../store/snapshot.ts";
import { type CapabilitySet, capabilityNames, capabilitySet } from "./capabilities.ts";
import type { CdiDevices } from "./cdi.ts";
import type { ContainerCgroups } from "./cgroups.ts";
import { type Bind, type HostConfig, mergeEnv, type ProcessConfig, type Ulimit } from "./config.ts";
import { parseDeviceRule } from "./device-rules.ts";
import { type Device, hostDevices, mappedDevices } from "./devices.ts";
import { Etc } from "./etc.ts";
import { HOST_GATEWAY, parseExtraHost, type Resolver } from "./etc-files.ts";
import { bundleFor, hookState } from "./hook-state.ts";
import type { HostResolv } from "./host-resolv.ts";
import { imagePlaces, ownerOf, snapshotsOf } from "./image-mounts.ts";
import { type Injection, injectionOf } from "./injection.ts";
import { DEVICE_RULES, NAMESPACED_SYSCTLS } from "./isolation.ts";
import { linkedAtStart, linkedNow } from "./legacy-links.ts";
import { type Linked, linkVariables } from "./links.ts";
import type { ContainerLogs } from "./logs.ts";
import { isOwn, joinedBy, networkDonor } from "./namespaces.ts";
import type { Networking } from "./networking.ts";
import { containerPlan, execPlan, holdPlan, type Isolation } from "./plan.ts";
import { privateMountFor } from "./propagation.ts";
import type { Container, Records } from "./records.ts";
import { appArmorProfile, parseSecurity, type SecurityDefaults } from "./security.ts";
import type { Trace } from "./trace.ts";
import type { ContainerVolumes } from "./volumes.ts";

/** What the daemon's configuration says where a request is silent. */
export interface LaunchDefaults {
  readonly init: boolean;
  readonly security: SecurityDefaults;
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
  /** The program that `--init` runs. */
  readonly initPath: string;
  /** What the engine has itself. */
  readonly capabilities: CapabilitySet;
  /** @returns a compiled profile. @param profile  undefined for the daemon's default; JSON text otherwise */
  readonly seccomp: (profile: string | undefined, capabilities: readonly string[]) => SeccompFilter | undefined;
  /** Called before a program is confined by a profile of AppArmor's. @throws invalid where it is not loaded */
  readonly confinable: (profile: string) => Promise<void>;
}

export class Launcher {
  readonly #options: LauncherOptions;
  /** Containers whose layers have to stay mounted: running, or on the way. */
  readonly #live = new Set<string>();

  readonly #etc: Etc;

  constructor(options: LauncherOptions) {
    this.#options = options;
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
    this.#isolation(host);
    this.#options.logs.target(container);
    checkSysctls(host);
    for (const entry of host.extraHosts) parseExtraHost(entry);
    for (const { source, createSource } of host.binds) {
      if (!createSource && !(await exists(source)))
        throw invalid(`invalid mount config for type "bind": bind source path does not exist: ${source}`);
    }
  }

  #isolation(host: HostConfig, privileged = host.privileged): Isolation {
    const { defaults, capabilities, seccomp } = this.#options;
    const security = parseSecurity(host.securityOpt, defaults.security);
    const set = capabilitySet({ privileged, add: host.capAdd, drop: host.capDrop }, capabilities);
    const confined = !privileged && security.seccomp !== "unconfined";
    const profile = security.seccomp === "default" ? undefined : security.seccomp;
    return {
      capabilities: set,
      seccomp: confined ? seccomp(profile, capabilityNames(set)) : undefined,
      noNewPrivileges: security.noNewPrivileges,
      apparmor: appArmorProfile(host.securityOpt, privileged, defaults.security),
    };
  }

  async #confined(isolation: Isolation): Promise<Isolation> {
    const { apparmor } = isolation;
    if (apparmor !== "" && apparmor !== UNCONFINED) await this.#options.confinable(apparmor);
    return isolation;
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
    const { networking, runtime, rootfs, initPath, defaults, records, volumes, cdi, logs } = this.#options;
    this.#hold(container);
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
    const deviceRules = rulesFor(host, devices);
    const [cgroups, { rootMounts, images }, nodes] = await together(
      this.#options.cgroups.create(id, host.resources, deviceRules),
      this.#rootMounts(container),
      host.privileged ? hostDevices() : [],
      donor ? undefined : this.#etc.write(container, endpoints, linked, gateways),
      createSources(host),
    );
    trace.step("cgroupsAndMounts");
    if (injection.hooks.length > 0) await records.writeFiles(id, { "config.json": bundleFor(rootfs) });
    const isolation = await this.#confined(this.#isolation(host));
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

  /** Its layers stay mounted, and those of images in it. */
  #hold(container: Container): void {
    for (const key of snapshotsOf(container)) this.#live.add(key);
  }

  #letGo(id: string): void {
    for (const key of this.#live) if (ownerOf(key) === id) this.#live.delete(key);
  }

  async #rootMounts(container: Container): Promise<{ rootMounts: readonly Mount[]; images: readonly Bind[] }> {
    const { snapshotter, rootfs } = this.#options;
    const images = await imagePlaces(container, `${rootfs}-images`, (key, target) => snapshotter.mounts(key, target));
    return {
      rootMounts: [...images.mounts, ...(await snapshotter.mounts(container.id, rootfs))],
      images: images.binds,
    };
  }

  /** A process that joins a running container, ready to go. @throws PlanError */
  async createExec(
    container: Container,
    id: string,
    process: ProcessConfig & { readonly privileged: boolean },
    consoleSize: HostConfig["consoleSize"],
  ): Promise<Task> {
    const { runtime, cgroups } = this.#options;
    const { state, host, config } = container;
    if (state.phase !== "running") throw conflict(`container ${container.id} is not running`);
    const plan = execPlan({
      process,
      hostname: config.hostname,
      pid: state.pid,
      groups: host.groupAdd,
      cgroups: await cgroups.places(container.id),
      isolation: await this.#confined(this.#isolation(host, host.privileged || process.privileged)),
      runtime: host.runtime,
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
    this.#hold(container);
    undo.defer(() => this.#letGo(id));
    undo.defer(() => volumes.unmount(id));
    const { rootMounts, images } = await this.#rootMounts(container);
    const binds = [...host.binds.map(unshared), ...(await volumes.mount(container)), ...images];
    const folder = records.folder(id);
    const plan = holdPlan({ host, binds, rootMounts, rootfs, folder, hasEtc: await exists(join(folder, "hosts")) });
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
    this.#hold(container);
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
      this.#letGo(id);
    }
  }

  /** Removes the run directory of a container that does not run, should there be one. */
  async forget(id: string): Promise<void> {
    await (await this.#options.runtime.find(id))?.delete();
  }

  /** Layers that nobody uses any more need not stay mounted. */
  releaseLayers(): Promise<void> {
    return this.#options.snapshotter.release(this.#live);
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

/** Of a container's cgroup. */
function rulesFor(host: HostConfig, devices: readonly Device[]): readonly DeviceRule[] {
  const all: DeviceRule = { allow: true, type: "a", major: -1, minor: -1, access: "rwm" };
  const own = [...devices.map(({ rule }) => rule), ...host.deviceCgroupRules.flatMap(parseDeviceRule)];
  return host.privileged ? [all] : [...DEVICE_RULES, ...own];
}

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

const exists = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    () => false,
  );

async function createSources({ binds }: HostConfig): Promise<void> {
  for (const { source, createSource } of binds)
    if (createSource)
      await mkdir(source, { recursive: true }).catch((error) => {
        if (hasCode(error, "EEXIST")) return; // a file, or anything else but a directory
        throw invalid(`error while creating mount source path '${source}': ${messageOf(error)}`, { cause: error });
      });
}

const mergeUlimits = (defaults: readonly Ulimit[], own: readonly Ulimit[]): readonly Ulimit[] => [
  ...defaults.filter(({ name }) => !own.some((limit) => limit.name === name)),
  ...own,
];

/** A sysctl that is not a namespace's would change the host. @throws invalid */
function checkSysctls({ sysctls, namespaces }: HostConfig): void {
  for (const name of Object.keys(sysctls)) {
    const allowed =
      (isOwn(namespaces.ipc) && NAMESPACED_SYSCTLS.ipc.test(name)) ||
      (namespaces.network === "own" && NAMESPACED_SYSCTLS.net.test(name)) ||
      (namespaces.uts !== "host" && name === "kernel.domainname");
    if (!allowed) throw invalid(`sysctl ${JSON.stringify(name)} is not in a separate kernel namespace`);
  }
}
