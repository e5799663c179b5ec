/** The composition root: the only file that constructs implementations and hands them to each other. */

import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { absentRouter } from "./api/absent.ts";
import { commitRouter } from "./api/commit.ts";
import { containersRouter } from "./api/containers.ts";
import type { HostDefaults } from "./api/create-request.ts";
import { distributionRouter } from "./api/distribution.ts";
import { execRouter } from "./api/exec.ts";
import { filesRouter } from "./api/files.ts";
import { fsckRouter } from "./api/fsck.ts";
import { imagesRouter } from "./api/images.ts";
import type { Handler } from "./api/listen.ts";
import type { LogReader } from "./api/logs.ts";
import { networkDoctorRouter } from "./api/network-doctor.ts";
import { networksRouter } from "./api/networks.ts";
import { Pruning } from "./api/pruning.ts";
import { registryRouter } from "./api/registry.ts";
import { createApi } from "./api/server.ts";
import { type SystemFacts, systemRouter } from "./api/system.ts";
import { usageRouter } from "./api/usage.ts";
import { viewContext } from "./api/view-context.ts";
import { volumesRouter } from "./api/volumes.ts";
import { builtFile } from "./base/built.ts";
import type { Logger } from "./base/logger.ts";
import { exchangeNetlink, NETLINK, NETLINK_GROUPS, watchNetlink } from "./base/netlink.ts";
import { type Config, OWN_RUNTIMES } from "./config.ts";
import { CdiDevices } from "./container/cdi.ts";
import { ContainerCgroups } from "./container/cgroups.ts";
import { Commits } from "./container/commit.ts";
import { Confinement } from "./container/confinement.ts";
import { Containers } from "./container/containers.ts";
import { copyUp } from "./container/copy-up.ts";
import type { Resolver } from "./container/etc-files.ts";
import { Execs } from "./container/exec.ts";
import { Files } from "./container/files.ts";
import { ContainerChecker } from "./container/fsck.ts";
import { HealthMonitor } from "./container/health-monitor.ts";
import { HostResolv } from "./container/host-resolv.ts";
import { snapshotsOf } from "./container/image-mounts.ts";
import { Launcher } from "./container/launch.ts";
import { ContainerLogs, checkLogDefaults } from "./container/logs.ts";
import { Naming } from "./container/naming.ts";
import { NetworkDoctor } from "./container/network-doctor.ts";
import { Networking } from "./container/networking.ts";
import { containerMigrations, Records } from "./container/records.ts";
import { makeSkeleton } from "./container/skeleton.ts";
import { ContainerVolumes } from "./container/volumes.ts";
import { Events } from "./events.ts";
import { collectFacts, hasOwnCgroups, hostFacts, ownCapabilities } from "./facts.ts";
import { Images, type ImagesOptions } from "./image/images.ts";
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
import { AppArmor } from "./runtime/apparmor.ts";
import { type Cgroups, openCgroups } from "./runtime/cgroup.ts";
import type { Runtime } from "./runtime/runtime.ts";
import { OciRuntime } from "./runtime/runtime-oci.ts";
import { ShimRuntime } from "./runtime/runtime-shim.ts";
import { Runtimes } from "./runtime/runtimes.ts";
import { SeccompFilters } from "./runtime/seccomp-filters.ts";
import { DiskContentStore } from "./store/content-disk.ts";
import { engineId, engineMigrations, lockDataRoot } from "./store/data-root.ts";
import { Database } from "./store/database.ts";
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

/** What the parts are opened with. */
interface Opening {
  readonly config: Config;
  readonly log: Logger;
  /** Closes them, the last one first. */
  readonly stack: AsyncDisposableStack;
}

/** @throws unavailable when another daemon has the data root */
async function openStores({ config, log, stack }: Opening) {
  stack.use(lockDataRoot(config.dataRoot));
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
  const workers = stack.use(new Workers());
  const content = new DiskContentStore(config.dataRoot);
  const snapshotter = await openSnapshotter(config.storageDriver, {
    root: config.dataRoot,
    runRoot: config.execRoot,
    workers,
    warn: (message) => log.warn(message),
  });
  const records = new Records(database, join(config.dataRoot, "containers"));
  return { database, workers, content, snapshotter, records, events: new Events(), id: engineId(database) };
}

type Stores = Awaited<ReturnType<typeof openStores>>;

function openRuntimes({ execRoot, runtimes: programs }: Config, cgroupMounts: readonly string[]): Runtime {
  const shims = new ShimRuntime({ runRoot: join(execRoot, "tasks"), program: builtFile("bosun-shim") });
  return new Runtimes(shims, new OciRuntime({ shims, root: join(execRoot, "oci"), programs, cgroupMounts }));
}

const resolverOf = ({ dns, dnsSearch, dnsOptions }: Config): Resolver => ({
  servers: dns,
  search: dnsSearch,
  options: dnsOptions,
});

/** Two engines on one host have bridges, and so tables, of different names. */
const firewallTable = ({ bridge }: Config): string => `bosun-${bridge.name}`;

function openNetworks({ config, log }: Opening, { database, events, records, id }: Stores, hostResolv: HostResolv) {
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
  const pools = [...config.addressPools, uniqueLocalPool(id)];
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
  const naming = new Naming({ records, endpoints, service, resolver: resolverOf(config), hostResolv, log });
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

const LOGS = [jsonFileLog, localLog, noLog, syslogLog, fluentdLog, gelfLog, journaldLog()];

/** What containers are made of, beside their files. */
function openHost(opening: Opening, stores: Stores) {
  const { config, log, stack } = opening;
  const { database, records, snapshotter, events, id } = stores;
  const cgroups = openCgroups();
  const appArmor = new AppArmor();
  const hostResolv = stack.use(new HostResolv());
  const networking = openNetworks(opening, stores, hostResolv);
  const volumeDrivers = new VolumeDrivers([new LocalDriver(join(config.dataRoot, "volumes"))], {
    folders: PLUGIN_FOLDERS,
    limits: PLUGIN_LIMITS,
    engineId: id,
  });
  const volumes = new Volumes({
    database,
    drivers: volumeDrivers,
    emit: (action, name, attributes) => events.emit("volume", action, name, attributes),
  });
  checkLogDefaults(LOGS, config.logDriver, config.logOptions);
  return {
    cgroups,
    appArmor,
    security: { noNewPrivileges: config.noNewPrivileges, hasAppArmor: appArmor.isEnabled },
    containerCgroups: new ContainerCgroups(
      cgroups,
      config.cgroupParent,
      (container) => records.find(container)?.host.cgroupParent,
      config.realtime,
    ),
    runtime: openRuntimes(config, cgroups.mounts),
    hostResolv,
    networking,
    volumeDrivers,
    volumes,
    containerVolumes: new ContainerVolumes({
      volumes,
      records,
      copyUp: (container, path, directory) => copyUp(snapshotter, container, path, directory),
    }),
    cdi: new CdiDevices(config.cdiSpecDirs),
    logs: stack.use(new ContainerLogs({ records, drivers: LOGS, log })),
  };
}

type Host = ReturnType<typeof openHost>;

function openLauncher({ config, log }: Opening, { records, snapshotter }: Stores, host: Host): Launcher {
  const rootfs = join(config.execRoot, "rootfs");
  mkdirSync(rootfs, { recursive: true, mode: 0o711 });
  const skeleton = join(config.execRoot, "skeleton");
  makeSkeleton(skeleton);
  const seccomp = new SeccompFilters(config.seccompProfile, hostFacts());
  const { runtime, containerCgroups, appArmor, networking, containerVolumes, cdi, logs, hostResolv } = host;
  return new Launcher({
    ...{ records, runtime, snapshotter, networking, cdi, logs, log, hostResolv, rootfs, skeleton },
    cgroups: containerCgroups,
    volumes: containerVolumes,
    defaults: {
      init: config.init,
      ulimits: config.defaultUlimits,
      resolver: resolverOf(config),
      hostGateways: config.hostGateways,
    },
    initPath: builtFile("bosun-shim"),
    confinement: new Confinement({
      defaults: host.security,
      capabilities: ownCapabilities(),
      seccomp: (profile, capabilities) => seccomp.filter(profile, capabilities),
      confinable: (profile) => appArmor.ready(profile),
    }),
  });
}

function openImages({ config, stack }: Opening, stores: Stores, inUse: ImagesOptions["inUse"]) {
  const { database, content, snapshotter, events, workers } = stores;
  const registry = new DistributionRegistry({
    hubMirrors: config.registryMirrors,
    mirrors: config.mirrors,
    proxies: config.proxies,
    certificatesOf: (authority) => certificatesFor(authority),
    insecure: config.insecureRegistries,
    userAgent: `Bosun/${VERSION.engine}`,
  });
  const images = new Images({
    ...{ database, content, snapshotter, registry, inUse },
    emit: ({ action, id, name, labels }) => events.emit("image", action, id, { ...labels, name }),
    scratch: join(config.dataRoot, "tmp"),
    proxies: config.proxies,
    compress: (job, options) => workers.compress(job, options),
    maxConcurrentUploads: config.maxConcurrentUploads,
    pushCompression: config.pushCompression,
    limits: { maxConcurrentDownloads: config.maxConcurrentDownloads, attempts: config.maxDownloadAttempts },
  });
  stack.use(images.uploads);
  return { images, registry };
}

/** Images and containers, which need each other. */
function openServices(opening: Opening, stores: Stores, host: Host, metrics: Metrics) {
  const { config, log, stack } = opening;
  const { records, snapshotter, events } = stores;
  const launcher = openLauncher(opening, stores, host);
  const { images, registry } = openImages(opening, stores, (id) => containers.usersOf(id));
  const containers = new Containers({
    ...{ records, launcher, snapshotter, logs: host.logs, events, log },
    cgroups: host.containerCgroups,
    volumes: host.containerVolumes,
    findImage: (reference, platform) => images.get(reference, platform),
    released: (imageId) => images.released(imageId),
    layerLingerMs: config.layerLingerS * 1000,
    traces: config.traceStart,
  });
  stack.defer(() => launcher.releaseLayers());
  stack.use(containers);
  const commits = new Commits({
    ...{ containers, cgroups: host.containerCgroups, snapshotter },
    findImage: (id) => images.get(id),
    makeImage: (image, makeLayer) => images.commit(image, makeLayer),
  });
  const execs = new Execs(containers, launcher, host.runtime, log);
  stack.use(new HealthMonitor(containers, execs, log, (isFailed) => metrics.checked(isFailed)));
  return { launcher, images, registry, containers, commits, execs };
}

type Services = ReturnType<typeof openServices>;

/** Removes what a crash has left, and finds what runs on. */
async function recover({ log, stack }: Opening, stores: Stores, { networking }: Host, services: Services) {
  const { records, content, snapshotter } = stores;
  const { containers, execs, images } = services;
  const owned = new Set(records.all().flatMap(snapshotsOf));
  await Promise.all([content.sweep((digest) => images.wants(digest)), snapshotter.sweep(owned), records.sweep()]);
  await containers.restore();
  await networking.endpoints.ensureAll();
  stack.use(guardNetworks(networking, log));
  await execs.restore();
  await images.sweep();
  await images.addBuiltIn(await Bun.file(builtFile("hello")).bytes());
}

function factsOf({ config }: Opening, { id, snapshotter, events }: Stores, host: Host, services: Services) {
  const { containers, images } = services;
  const { cgroups, cdi, volumeDrivers, networking } = host;
  return collectFacts({
    ...{ config, id, containers, images, cgroups, cdi },
    storageDriver: snapshotter.name,
    volumeDrivers: () => volumeDrivers.names(),
    logDrivers: LOGS.map(({ name }) => name),
    seccomp: config.seccompProfile,
    hasAppArmor: host.security.hasAppArmor,
    listeners: () => events.watchers,
    networkWarnings: () => networking.ports.firewall.warnings(),
  });
}

/** What containers get that ask for nothing else. */
const hostDefaults = (config: Config, cgroups: Cgroups): HostDefaults => ({
  shmSize: config.defaultShmSize,
  log: { driver: config.logDriver, options: config.logOptions },
  ipc: config.defaultIpcMode,
  runtime: config.defaultRuntime,
  ownRuntimes: OWN_RUNTIMES,
  network: config.hasDefaultBridge ? "bridge" : "none",
  runtimes: Object.keys(config.runtimes),
  cgroupns: hasOwnCgroups(config, cgroups) ? "private" : "host",
});

function openApi({ config, log }: Opening, stores: Stores, host: Host, services: Services, facts: SystemFacts) {
  const { records, snapshotter, events } = stores;
  const { cgroups, runtime, networking, volumes, logs } = host;
  const { networks, endpoints } = networking;
  const { launcher, images, registry, containers, commits, execs } = services;
  const view = viewContext({
    ...{ records, networks, execs, logs, volumes, images, snapshotter },
    canDisableOomKill: cgroups.features.oomKillDisable,
    security: host.security,
  });
  const logReader: LogReader = {
    read: (container, options) => logs.read(container, options),
    changes: (container, signal) => containers.logChanges(container, signal),
  };
  const checker = new ContainerChecker({
    ...{ containers, launcher, runtime, cgroups: host.containerCgroups, snapshotter },
    volumeMounts: () => volumes.mountPoints(),
    mountRoots: { layers: join(config.execRoot, "layers"), data: config.dataRoot },
  });
  const pruning = new Pruning(events);
  const routers = [
    systemRouter(facts, events),
    containersRouter({ containers, snapshotter, view, logReader, defaults: hostDefaults(config, cgroups), pruning }),
    filesRouter(new Files(containers, join(config.dataRoot, "tmp"))),
    commitRouter({ commits, containers }),
    execRouter(containers, execs),
    registryRouter(images, registry),
    distributionRouter(images),
    imagesRouter(images, pruning),
    usageRouter({ images, records, volumes, view }),
    volumesRouter(volumes, pruning),
    fsckRouter([() => checker.check(), (options) => images.check(options)]),
    networksRouter({ networks, endpoints, containers, pruning }),
    networkDoctorRouter(new NetworkDoctor(networking, records)),
    absentRouter(),
  ];
  return createApi(routers, { version: VERSION.engine }, log);
}

/**
 * Opens the stores, finds the containers that ran on, and answers the API.
 * @throws unavailable when another daemon has the data root, or the host lacks something
 */
export async function openEngine(config: Config, log: Logger): Promise<Engine> {
  await using stack = new AsyncDisposableStack();
  const opening = { config, log, stack };
  const metrics = new Metrics();
  const stores = await openStores(opening);
  const host = openHost(opening, stores);
  const services = openServices(opening, stores, host, metrics);
  await recover(opening, stores, host, services);
  const facts = factsOf(opening, stores, host, services);
  const api = openApi(opening, stores, host, services, facts);
  const { id, snapshotter, events } = stores;
  const open = stack.move();
  return {
    api: config.metricsAddress === undefined ? api : metrics.measured(api),
    metrics: metrics.handler({ facts, id, storageDriver: snapshotter.name, containers: services.containers, events }),
    [Symbol.asyncDispose]: () => open.disposeAsync(),
  };
}
