/** The composition root: the only file that constructs implementations and hands them to each other. */

import { closeSync, mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { commitRouter } from "./api/commit.ts";
import type { ViewContext } from "./api/container-view.ts";
import { containersRouter } from "./api/containers.ts";
import { distributionRouter } from "./api/distribution.ts";
import { execRouter } from "./api/exec.ts";
import { filesRouter } from "./api/files.ts";
import { fsckRouter } from "./api/fsck.ts";
import { imagesRouter } from "./api/images.ts";
import type { Handler } from "./api/listen.ts";
import { networkDoctorRouter } from "./api/network-doctor.ts";
import { networksRouter } from "./api/networks.ts";
import { registryRouter } from "./api/registry.ts";
import { createApi } from "./api/server.ts";
import { type SystemFacts, systemRouter } from "./api/system.ts";
import { usageRouter } from "./api/usage.ts";
import { volumesRouter } from "./api/volumes.ts";
import { builtFile } from "./base/built.ts";
import { unavailable } from "./base/errors.ts";
import { lockFile } from "./base/files.ts";
import { newId } from "./base/ids.ts";
import type { Logger } from "./base/logger.ts";
import { exchangeNetlink, NETLINK, NETLINK_GROUPS, watchNetlink } from "./base/netlink.ts";
import { type Config, OWN_RUNTIMES } from "./config.ts";
import { CdiDevices } from "./container/cdi.ts";
import { ContainerCgroups } from "./container/cgroups.ts";
import { Commits } from "./container/commit.ts";
import { Containers } from "./container/containers.ts";
import { copyUp } from "./container/copy-up.ts";
import type { Resolver } from "./container/etc-files.ts";
import { Execs } from "./container/exec.ts";
import { Files } from "./container/files.ts";
import { ContainerChecker } from "./container/fsck.ts";
import { HealthMonitor } from "./container/health-monitor.ts";
import { HostResolv } from "./container/host-resolv.ts";
import { snapshotsOf } from "./container/image-mounts.ts";
import { Launcher, type LauncherOptions } from "./container/launch.ts";
import { linkNames, linksView } from "./container/legacy-links.ts";
import { ContainerLogs, checkLogDefaults } from "./container/logs.ts";
import { Naming } from "./container/naming.ts";
import { NetworkDoctor } from "./container/network-doctor.ts";
import { Networking } from "./container/networking.ts";
import { containerMigrations, Records } from "./container/records.ts";
import { ContainerVolumes } from "./container/volumes.ts";
import { Events } from "./events.ts";
import { collectFacts, hostFacts } from "./facts.ts";
import { Images } from "./image/images.ts";
import { imageMigrations } from "./image/schema.ts";
import { jsonFileLog } from "./log/driver-json-file.ts";
import { localLog } from "./log/driver-local.ts";
import { noLog } from "./log/driver-none.ts";
import { fluentdLog } from "./log/sink-fluentd.ts";
import { gelfLog } from "./log/sink-gelf.ts";
import { journaldLog } from "./log/sink-journald.ts";
import { syslogLog } from "./log/sink-syslog.ts";
import { Metrics } from "./metrics.ts";
import { Flows } from "./network/conntrack.ts";
import { defaultBridge } from "./network/default-bridge.ts";
import { BridgeDriver } from "./network/driver-bridge.ts";
import { HostDriver } from "./network/driver-host.ts";
import { WireDriver } from "./network/driver-wire.ts";
import { Endpoints } from "./network/endpoints.ts";
import { Firewall } from "./network/firewall.ts";
import { Forwarding } from "./network/forwarding.ts";
import { Guard } from "./network/guard.ts";
import { HostFilter } from "./network/host-filter.ts";
import { hostSubnets } from "./network/host-subnets.ts";
import { NameService } from "./network/name-service.ts";
import { type Exchange, Netlink } from "./network/netlink.ts";
import { Networks, networkMigrations } from "./network/networks.ts";
import { uniqueLocalPool } from "./network/pools.ts";
import { PublishedPorts } from "./network/published-ports.ts";
import { IPVLAN, MACVLAN } from "./network/wire-options.ts";
import { certificatesFor } from "./registry/certificates.ts";
import { DistributionRegistry } from "./registry/distribution.ts";
import { openCgroups } from "./runtime/cgroup.ts";
import type { Runtime } from "./runtime/runtime.ts";
import { OciRuntime } from "./runtime/runtime-oci.ts";
import { ShimRuntime } from "./runtime/runtime-shim.ts";
import { Runtimes } from "./runtime/runtimes.ts";
import { compileSeccomp, type SeccompFilter } from "./runtime/seccomp.ts";
import seccompDefault from "./runtime/seccomp-default.json" with { type: "json" };
import { parseSeccompProfile, type SeccompProfile } from "./runtime/seccomp-profile.ts";
import { DiskContentStore } from "./store/content-disk.ts";
import { Database, type Migration } from "./store/database.ts";
import { openSnapshotter } from "./store/snapshotters.ts";
import { VERSION } from "./version.ts";
import { LocalDriver } from "./volume/driver-local.ts";
import { VolumeDrivers } from "./volume/drivers.ts";
import { PLUGIN_FOLDERS } from "./volume/plugin-address.ts";
import { PLUGIN_LIMITS } from "./volume/plugin-client.ts";
import { volumeMigrations } from "./volume/records.ts";
import { Volumes } from "./volume/volumes.ts";
import { Workers } from "./wasm/workers.ts";

export interface Engine extends AsyncDisposable {
  readonly api: Handler;
  /** Answers Prometheus. */
  readonly metrics: Handler;
}

/** One daemon for a data root; the kernel lets go of the lock when the process ends, however it ends. */
function lockDataRoot(dataRoot: string): Disposable {
  mkdirSync(dataRoot, { recursive: true, mode: 0o711 });
  const fd = lockFile(join(dataRoot, "lock"));
  if (fd === undefined) throw unavailable(`another daemon uses the data root ${dataRoot}`);
  return { [Symbol.dispose]: () => closeSync(fd) };
}

const defaultSeccompProfile = parseSeccompProfile(JSON.stringify(seccompDefault));

const engineMigrations: readonly Migration[] = [
  { name: "engine-1", sql: "CREATE TABLE engine (id TEXT PRIMARY KEY) STRICT" },
];

/** An identity that stays with the data root. */
function engineId(database: Database): string {
  const known = database.find<{ id: string }>("SELECT id FROM engine");
  if (known) return known.id;
  const id = newId();
  database.run("INSERT INTO engine (id) VALUES (?)", id);
  return id;
}

/** What the engine may do, and so may give. Source: proc_pid_status(5), CapBnd. */
function ownCapabilities(): bigint {
  const status = readFileSync("/proc/self/status", "utf8");
  return BigInt(`0x${/^CapEff:\s*([0-9a-f]+)$/m.exec(status)?.[1] ?? "0"}`);
}

function openRuntimes({ execRoot, runtimes: programs }: Config, cgroupMounts: readonly string[]): Runtime {
  const shims = new ShimRuntime({ runRoot: join(execRoot, "tasks"), program: builtFile("bosun-shim") });
  return new Runtimes(shims, new OciRuntime({ shims, root: join(execRoot, "oci"), programs, cgroupMounts }));
}

/** Compiling takes milliseconds and most containers ask for the same: results are kept, by profile and capabilities. */
function seccompFor({ seccompProfile }: Config, host: SystemFacts["host"]): LauncherOptions["seccomp"] {
  const file = seccompProfile === "builtin" || seccompProfile === "unconfined" ? undefined : seccompProfile;
  const ofDaemon = file === undefined ? defaultSeccompProfile : parseSeccompProfile(readFileSync(file, "utf8"));
  const ofDefault = new Map<string, SeccompFilter>();
  return (profile, capabilities) => {
    const compile = (parsed: SeccompProfile) =>
      compileSeccomp(parsed, { architecture: host.architecture, kernel: host.kernel, capabilities });
    if (profile !== undefined) return compile(parseSeccompProfile(profile));
    if (seccompProfile === "unconfined") return undefined;
    const key = capabilities.join();
    const filter = ofDefault.get(key) ?? compile(ofDaemon);
    ofDefault.set(key, filter);
    return filter;
  };
}

const resolverOf = ({ dns, dnsSearch, dnsOptions }: Config): Resolver => ({
  servers: dns,
  search: dnsSearch,
  options: dnsOptions,
});

/** Two engines on one host have bridges, and so tables, of different names. */
const firewallTable = ({ bridge }: Config): string => `bosun-${bridge.name}`;

interface Surroundings {
  readonly database: Database;
  readonly events: Events;
  readonly records: Records;
  readonly hostResolv: HostResolv;
  readonly log: Logger;
}

function openNetworks(config: Config, { database, events, records, hostResolv, log }: Surroundings): Networking {
  const netlink = new Netlink((request, pid) => exchangeNetlink(NETLINK.route, request, pid));
  const table = firewallTable(config);
  const exchange: Exchange = (request, pid) => exchangeNetlink(NETLINK.netfilter, request, pid);
  const chain = `BOSUN-${config.bridge.name}`;
  const forwarding = new Forwarding({
    file: join(config.execRoot, "forwarding"),
    keepsOpen: config.keepsForwardingOpen,
    log,
  });
  const firewall = new Firewall({
    table,
    enabled: config.firewall,
    respectsHost: config.respectHostFirewall,
    only4: config.firewallOnly4,
    hairpin: !config.userlandProxy,
    stops: () => forwarding.closed,
    exchange,
    flows: new Flows(exchange, log),
    hostFilter: new HostFilter({ chain, table, exchange, log }),
  });
  const pools = [...config.addressPools, uniqueLocalPool(engineId(database))];
  const networks = new Networks({
    database,
    drivers: [
      new BridgeDriver({
        netlink,
        firewall,
        log,
        forwarding: config.forward ? forwarding : undefined,
        hairpin: !config.userlandProxy,
        owner: table,
      }),
      new WireDriver(MACVLAN, { netlink, log, owner: table }),
      new WireDriver(IPVLAN, { netlink, log, owner: table }),
      new HostDriver("host"),
      new HostDriver("null"),
    ],
    pools,
    hasDefaultBridge: config.hasDefaultBridge,
    defaultOptions: config.defaultNetworkOptions,
    hostSubnets,
    defaultBridge: (identity, recorded, used) =>
      defaultBridge(identity, config.bridge, { present: netlink.addresses(config.bridge.name), recorded, used, pools }),
    emit: (action, { id, name, driver }) => events.emit("network", action, id, { name, type: driver }),
  });
  const program = builtFile("bosun-net");
  const ports = new PublishedPorts({
    firewall,
    program,
    relays: config.userlandProxy,
    directRouting: config.directRouting,
  });
  const endpoints = new Endpoints(networks, netlink);
  const service = new NameService({ folder: join(config.execRoot, "names"), program, log });
  const naming = new Naming({ records, endpoints, service, resolver: resolverOf(config), hostResolv });
  return new Networking(networks, endpoints, ports, naming);
}

function guardNetworks({ endpoints, ports }: Networking, log: Logger): Guard {
  const { link, nftables } = NETLINK_GROUPS;
  return new Guard({
    firewall: ports.firewall,
    endpoints,
    watchRules: (onMessages, onLost) => watchNetlink(NETLINK.netfilter, nftables, onMessages, onLost),
    watchLinks: (onMessages, onLost) => watchNetlink(NETLINK.route, link, onMessages, onLost),
    log,
  });
}

/** 0 for an image that was removed by force while a container still uses it. */
const sizeOf = (images: Images, id: string): Promise<number> =>
  images.inspect(id).then(
    ({ size }) => size,
    () => 0,
  );

/** Empty for one that is gone, which no container should name. */
function volumePath(volumes: Volumes, name: string): string {
  const volume = volumes.find(name);
  return volume ? volumes.path(volume) : "";
}

/** An image descends from another when it begins with all of its layers and has more. */
async function descendants(images: Images, ancestor: string): Promise<ReadonlySet<string>> {
  const base = await images.get(ancestor).catch(() => undefined);
  const family = new Set<string>();
  if (!base) return family;
  for (const { id } of await images.list()) {
    const { layers } = await images.get(id);
    if (layers.length > base.layers.length && base.layers.every((layer, at) => layers[at] === layer)) family.add(id);
  }
  return family.add(base.id);
}

const LOGS = [jsonFileLog, localLog, noLog, syslogLog, fluentdLog, gelfLog, journaldLog()];

/**
 * Opens the stores, finds the containers that ran on, and answers the API.
 * @throws unavailable when another daemon has the data root, or the host lacks something
 */
export async function openEngine(config: Config, log: Logger): Promise<Engine> {
  await using stack = new AsyncDisposableStack();
  stack.use(lockDataRoot(config.dataRoot));
  const rootfs = join(config.execRoot, "rootfs");
  mkdirSync(rootfs, { recursive: true, mode: 0o711 });
  const database = stack.adopt(
    new Database(join(config.dataRoot, "bosun.db"), [
      ...engineMigrations,
      ...imageMigrations,
      ...networkMigrations,
      ...volumeMigrations,
      ...containerMigrations,
    ]),
    (open) => open.close(),
  );
  const events = new Events();
  const metrics = new Metrics();
  const workers = stack.use(new Workers());
  const content = new DiskContentStore(config.dataRoot);
  const snapshotter = await openSnapshotter(config.storageDriver, {
    root: config.dataRoot,
    runRoot: config.execRoot,
    workers,
    warn: (message) => log.warn(message),
  });
  const cgroups = openCgroups();
  const runtime = openRuntimes(config, cgroups.mounts);
  const records = new Records(database, join(config.dataRoot, "containers"));
  const hostResolv = stack.use(new HostResolv());
  const networking = openNetworks(config, { database, events, records, hostResolv, log });
  const { networks, endpoints } = networking;
  const volumeDrivers = new VolumeDrivers([new LocalDriver(join(config.dataRoot, "volumes"))], {
    folders: PLUGIN_FOLDERS,
    limits: PLUGIN_LIMITS,
    engineId: engineId(database),
  });
  const volumes = new Volumes({
    database,
    drivers: volumeDrivers,
    emit: (action, name, attributes) => events.emit("volume", action, name, attributes),
  });
  const containerVolumes = new ContainerVolumes({
    volumes,
    records,
    copyUp: (id, path, directory) => copyUp(snapshotter, id, path, directory),
  });
  const cdi = new CdiDevices(config.cdiSpecDirs);
  const containerCgroups = new ContainerCgroups(
    cgroups,
    config.cgroupParent,
    (id) => records.find(id)?.host.cgroupParent,
    config.realtime,
  );
  checkLogDefaults(LOGS, config.logDriver, config.logOptions);
  const logs = stack.use(new ContainerLogs({ records, drivers: LOGS, log }));
  const launcher = new Launcher({
    records,
    runtime,
    cgroups: containerCgroups,
    snapshotter,
    networking,
    volumes: containerVolumes,
    cdi,
    logs,
    log,
    defaults: {
      init: config.init,
      noNewPrivileges: config.noNewPrivileges,
      ulimits: config.defaultUlimits,
      resolver: resolverOf(config),
      hostGateways: config.hostGateways,
    },
    hostResolv,
    rootfs,
    initPath: builtFile("bosun-shim"),
    capabilities: ownCapabilities(),
    seccomp: seccompFor(config, hostFacts()),
  });
  const registry = new DistributionRegistry({
    hubMirrors: config.registryMirrors,
    mirrors: config.mirrors,
    proxies: config.proxies,
    certificatesOf: (authority) => certificatesFor(authority),
    insecure: config.insecureRegistries,
    userAgent: `Bosun/${VERSION.engine}`,
  });
  const images = new Images({
    database,
    content,
    snapshotter,
    registry,
    emit: ({ action, id, name, labels }) => events.emit("image", action, id, { ...labels, name }),
    inUse: (id) => containers.usersOf(id),
    scratch: join(config.dataRoot, "tmp"),
    proxies: config.proxies,
    compress: (job, options) => workers.compress(job, options),
    maxConcurrentUploads: config.maxConcurrentUploads,
    pushCompression: config.pushCompression,
    limits: { maxConcurrentDownloads: config.maxConcurrentDownloads, attempts: config.maxDownloadAttempts },
  });
  stack.use(images.uploads);
  const containers = new Containers({
    records,
    launcher,
    cgroups: containerCgroups,
    snapshotter,
    volumes: containerVolumes,
    logs,
    events,
    log,
    findImage: (reference, platform) => images.get(reference, platform),
    released: (imageId) => images.released(imageId),
    layerLingerMs: config.layerLingerS * 1000,
    traces: config.traceStart,
  });
  stack.defer(() => launcher.releaseLayers());
  stack.use(containers);
  const commits = new Commits({
    containers,
    cgroups: containerCgroups,
    snapshotter,
    findImage: (id) => images.get(id),
    makeImage: (image, makeLayer) => images.commit(image, makeLayer),
  });
  const execs = new Execs(containers, launcher, runtime, log);
  stack.use(new HealthMonitor(containers, execs, log, (isFailed) => metrics.checked(isFailed)));

  const owned = new Set(records.all().flatMap(snapshotsOf));
  await Promise.all([content.sweep((digest) => images.wants(digest)), snapshotter.sweep(owned), records.sweep()]);
  await containers.restore();
  await endpoints.ensureAll();
  stack.use(guardNetworks(networking, log));
  await execs.restore();
  await images.sweep();
  await images.addBuiltIn(await Bun.file(builtFile("hello")).bytes());

  const facts = collectFacts({
    config,
    id: engineId(database),
    containers,
    images,
    cgroups,
    cdi,
    storageDriver: snapshotter.name,
    volumeDrivers: () => volumeDrivers.names(),
    logDrivers: LOGS.map(({ name }) => name),
    seccomp: config.seccompProfile,
    listeners: () => events.watchers,
    networkWarnings: () => networking.ports.firewall.warnings(),
  });
  const containerChecker = new ContainerChecker({
    containers,
    launcher,
    runtime,
    cgroups: containerCgroups,
    snapshotter,
    volumeMounts: () => volumes.mountPoints(),
    mountRoots: { layers: join(config.execRoot, "layers"), data: config.dataRoot },
  });
  const view: ViewContext = {
    findNetwork: (reference) => networks.find(reference),
    links: (container) => linksView(container, records),
    linkNames: () => linkNames(records),
    folder: (id) => records.folder(id),
    logPath: (container) => logs.publicPath(container),
    execIds: (id) => execs.of(id),
    storageDriver: snapshotter.name,
    canDisableOomKill: cgroups.features.oomKillDisable,
    volumePath: (name) => volumePath(volumes, name),
    usage: (id) => snapshotter.usage(id),
    imageSize: (id) => sizeOf(images, id),
    descendants: (ancestor) => descendants(images, ancestor),
  };
  const api = createApi(
    [
      systemRouter(facts, events),
      containersRouter({
        containers,
        snapshotter,
        view,
        logReader: {
          read: (container, options) => logs.read(container, options),
          changes: (container, signal) => containers.logChanges(container, signal),
        },
        defaults: {
          shmSize: config.defaultShmSize,
          log: { driver: config.logDriver, options: config.logOptions },
          ipc: config.defaultIpcMode,
          runtime: config.defaultRuntime,
          ownRuntimes: OWN_RUNTIMES,
          network: config.hasDefaultBridge ? "bridge" : "none",
          runtimes: Object.keys(config.runtimes),
          cgroupns: config.defaultCgroupnsMode ?? (cgroups.version === 2 ? "private" : "host"),
        },
      }),
      filesRouter(new Files(containers, join(config.dataRoot, "tmp"))),
      commitRouter({ commits, containers, snapshotter }),
      execRouter(containers, execs),
      registryRouter(images, registry),
      distributionRouter(images),
      imagesRouter(images),
      usageRouter({ images, records, volumes, view }),
      volumesRouter(volumes),
      fsckRouter([() => containerChecker.check(), (options) => images.check(options)]),
      networksRouter({ networks, endpoints, containers }),
      networkDoctorRouter(new NetworkDoctor(networking, records)),
    ],
    { version: VERSION.engine },
    log,
  );
  const open = stack.move();
  return {
    api: config.metricsAddress === undefined ? api : metrics.measured(api),
    metrics: metrics.handler({ facts, id: engineId(database), storageDriver: snapshotter.name, containers, events }),
    [Symbol.asyncDispose]: () => open.disposeAsync(),
  };
}
