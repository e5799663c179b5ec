/** The daemon's configuration: options in, as options.ts reads them; one frozen value with every default out. */

import { invalid } from "./base/errors.ts";
import { LEVELS, type Level } from "./base/logger.ts";
import { isObject } from "./base/objects.ts";
import { parseBytes } from "./base/units.ts";
import { parseUlimit, type Ulimit } from "./container/config.ts";
import { toCgroupParent } from "./container/limits.ts";
import { asAddress, parseCidr } from "./network/addresses.ts";
import type { DefaultBridgeOptions, FamilyOptions } from "./network/default-bridge.ts";
import { isInterfaceName } from "./network/interface-names.ts";
import { type AddressPool, DEFAULT_POOLS, parseAddressPool } from "./network/pools.ts";
import { merge, parseFile, parseFlags, type Raw, scalar, Values } from "./options.ts";
import type { ProxySettings } from "./registry/proxies.ts";
import type { OciProgram } from "./runtime/runtime-oci.ts";

export interface Config {
  /** `unix:///path`, `tcp://host:port`, `fd://`. */
  readonly hosts: readonly string[];
  readonly logLevel: Level;
  readonly logFormat: "text" | "json";
  readonly dataRoot: string;
  readonly execRoot: string;
  readonly pidfile: string;
  /** Name or number; what the socket's group shall be. */
  readonly group: string;
  /** Whether somebody asked for `group`, so that its absence is an error and not a note. */
  readonly groupGiven: boolean;
  readonly storageDriver: "auto" | "erofs" | "overlay" | "btrfs" | "vfs";
  readonly insecureRegistries: readonly string[];
  /** Copies of Docker Hub. */
  readonly registryMirrors: readonly string[];
  /** Copies of any registry, by its domain; `*` for all. */
  readonly mirrors: Readonly<Record<string, readonly string[]>>;
  /** What was given instead of the environment's. */
  readonly proxies: Partial<ProxySettings>;
  readonly maxConcurrentDownloads: number;
  readonly maxConcurrentUploads: number;
  readonly maxDownloadAttempts: number;
  /** Of layers that have to be compressed for a push. */
  readonly pushCompression: "gzip" | "zstd";
  readonly bridge: DefaultBridgeOptions;
  /** Where networks get subnets from. */
  readonly addressPools: readonly AddressPool[];
  /** Whether firewall rules may be set at all. */
  readonly firewall: boolean;
  /** Whether what comes from elsewhere to a published port has to pass the host's rules for local traffic. */
  readonly respectHostFirewall: boolean;
  /** Whether IPv6 is left to rules of the host's own. */
  readonly firewallOnly4: boolean;
  /** Whether what no rule can lead to a published port is relayed by a process. */
  readonly userlandProxy: boolean;
  /** Whether published ports are reached at containers' own addresses, too. */
  readonly directRouting: boolean;
  /** Whether there is a network `bridge`, where containers are that name none. */
  readonly hasDefaultBridge: boolean;
  /** By driver: options of new networks that say nothing else. */
  readonly defaultNetworkOptions: Readonly<Record<string, Readonly<Record<string, string>>>>;
  /** Whether the host is made to forward. */
  readonly forward: boolean;
  /** Whether a host that is made to forward does so between its other interfaces, too. */
  readonly keepsForwardingOpen: boolean;
  /** What `host-gateway` means to containers; none for the default bridge's own addresses. */
  readonly hostGateways: readonly string[];
  readonly dns: readonly string[];
  readonly dnsOptions: readonly string[];
  readonly dnsSearch: readonly string[];
  readonly labels: readonly string[];
  readonly defaultUlimits: readonly Ulimit[];
  readonly logDriver: string;
  readonly logOptions: Readonly<Record<string, string>>;
  readonly init: boolean;
  readonly noNewPrivileges: boolean;
  /** `builtin`, `unconfined` or the path of a profile. */
  readonly seccompProfile: string;
  /** Bytes. */
  readonly defaultShmSize: number;
  /** Where CDI's files are, the weakest first. */
  readonly cdiSpecDirs: readonly string[];
  /** OCI runtimes that containers may ask for, by their name. */
  readonly runtimes: Readonly<Record<string, OciProgram>>;
  /** Of one of those, or our own's. */
  readonly defaultRuntime: string;
  readonly cgroupParent: string;
  /** Microseconds that real-time tasks of all containers may run in a period. */
  readonly realtime: { readonly cpuRealtimePeriod?: number; readonly cpuRealtimeRuntime?: number };
  readonly defaultIpcMode: "private" | "shareable";
  /** Undefined: as the host's generation of cgroups has it. */
  readonly defaultCgroupnsMode: "private" | "host" | undefined;
  /** How long a stopping daemon waits for requests under way, seconds. */
  readonly shutdownTimeoutS: number;
  /** Where Prometheus may ask, as `tcp://127.0.0.1:9323`. */
  readonly metricsAddress: string | undefined;
  /** Whether the log says where the time of each start of a container goes. */
  readonly traceStart: boolean;
  /** How long layers stay mounted after their last container has ended. */
  readonly layerLingerS: number;
  readonly tls: TlsConfig | undefined;
}

export interface TlsConfig {
  readonly ca: string | undefined;
  readonly certificate: string;
  readonly key: string;
  /** Whether clients must show a certificate signed by `ca`. */
  readonly verify: boolean;
}

/** What the `data-root` of an engine without flags is. */
export const DEFAULT_HOST = "unix:///run/bosun.sock";
const DEFAULT_CONFIG_FILE = "/etc/bosun/daemon.json";

function toTls(values: Values): TlsConfig | undefined {
  const verify = values.flag("tlsverify", false);
  if (!verify && !values.flag("tls", false)) return undefined;
  const home = `${process.env.DOCKER_CERT_PATH ?? `${process.env.HOME ?? "/root"}/.docker`}`;
  return {
    verify,
    ca: values.text("tlscacert") ?? (verify ? `${home}/ca.pem` : undefined),
    certificate: values.text("tlscert") ?? `${home}/cert.pem`,
    key: values.text("tlskey") ?? `${home}/key.pem`,
  };
}

/** @param suffix  of the options' names */
function toFamily(values: Values, own: string, suffix: string): FamilyOptions {
  const [address, fixedCidr] = [values.text(own), values.text(`fixed-cidr${suffix}`)];
  const gateway = values.text(`default-gateway${suffix}`);
  const family = suffix === "" ? 4 : 6;
  for (const text of [address, fixedCidr])
    if (text !== undefined && parseCidr(text).subnet.family !== family)
      throw invalid(`invalid IPv${family} network: ${text}`);
  if (gateway !== undefined && asAddress(gateway)?.family !== family)
    throw invalid(`invalid value for --default-gateway${suffix}: ${gateway}`);
  return { address, fixedCidr, gateway };
}

function toBridge(values: Values): DefaultBridgeOptions {
  const named = values.text("bridge");
  if (named && (values.text("bip") || values.text("bip6")))
    throw invalid("you specified -b & --bip, mutually exclusive options. Please specify only one");
  if (named && !isInterfaceName(named))
    throw invalid(`invalid value for --bridge: ${named} (want the name of a network interface)`);
  const hostBinding = values.text("ip") ?? "0.0.0.0";
  if (!asAddress(hostBinding)) throw invalid(`invalid value for --ip: ${hostBinding} (want an IP address)`);
  return {
    name: named || "docker0",
    ipv4: toFamily(values, "bip", ""),
    ipv6: toFamily(values, "bip6", "-v6"),
    enableIPv6: values.flag("ipv6", false),
    mtu: values.number("mtu", 1500, 68),
    masquerade: values.flag("ip-masq", true),
    icc: values.flag("icc", true),
    hostBinding,
  };
}

/** `driver=option=value`. */
function toNetworkOptions(values: Values): Config["defaultNetworkOptions"] {
  const all: Record<string, Record<string, string>> = {};
  for (const item of values.list("default-network-opt")) {
    const [, driver = "", name = "", value = ""] = /^([^=]+)=([^=]+)=(.*)$/s.exec(item) ?? [];
    if (name === "") throw invalid(`invalid value for --default-network-opt: ${item} (want driver=option=value)`);
    all[driver] = { ...all[driver], [name]: value };
  }
  return all;
}

/** Ours, and what Docker calls its own: who asks for those means the engine's. */
export const OWN_RUNTIMES: readonly string[] = ["bosun", "runc", "io.containerd.runc.v2"];

/** `path`, or what daemon.json has under the name. @throws invalid for what only containerd could do with it */
function toProgram(name: string, text: string): OciProgram {
  const value: unknown = text.startsWith("{") ? JSON.parse(text) : { path: text };
  const { path, runtimeArgs = [], ...rest } = isObject(value) ? value : {};
  const others = Object.keys(rest);
  if (others.length > 0)
    throw invalid(`invalid runtime ${name}: ${others.join(", ")} is not supported: want path and runtimeArgs`);
  if (typeof path !== "string" || path === "") throw invalid(`invalid runtime ${name}: it has no path`);
  if (!Array.isArray(runtimeArgs)) throw invalid(`invalid runtime ${name}: runtimeArgs is no list`);
  return { path, args: runtimeArgs.map((item) => scalar(`runtimes.${name}`, item)) };
}

function toRuntimes(values: Values): Pick<Config, "runtimes" | "defaultRuntime"> {
  const runtimes: Record<string, OciProgram> = {};
  for (const item of values.list("add-runtime")) {
    const [, name = "", text = ""] = /^([A-Za-z0-9][A-Za-z0-9_.-]*)=(.+)$/s.exec(item) ?? [];
    if (name === "") throw invalid(`invalid value for --add-runtime: ${item} (want name=path)`);
    if (OWN_RUNTIMES.includes(name)) throw invalid(`runtime name '${name}' is reserved`);
    if (runtimes[name]) throw invalid(`runtime '${name}' was already added`);
    runtimes[name] = toProgram(name, text);
  }
  const defaultRuntime = values.text("default-runtime") ?? "bosun";
  if (!runtimes[defaultRuntime] && !OWN_RUNTIMES.includes(defaultRuntime))
    throw invalid(`specified default runtime '${defaultRuntime}' does not exist`);
  return { runtimes, defaultRuntime: runtimes[defaultRuntime] ? defaultRuntime : "bosun" };
}

/** One of each family at most, as dockerd has it. */
function toHostGateways(values: Values): readonly string[] {
  const texts = values.list("host-gateway-ip");
  const families = texts.map((text) => {
    const address = asAddress(text);
    if (!address) throw invalid(`invalid value for --host-gateway-ip: ${text} (want an IP address)`);
    return address.family;
  });
  if (new Set(families).size < families.length)
    throw invalid(`invalid value for --host-gateway-ip: ${texts.join(", ")} (want one of each family)`);
  return texts;
}

/** `domain=url`, several of one domain in their order. */
function toMirrors(values: Values): Readonly<Record<string, readonly string[]>> {
  const mirrors: Record<string, string[]> = {};
  for (const item of values.list("mirror")) {
    const [, domain, url] = /^([^=]+)=(.+)$/.exec(item) ?? [];
    if (domain === undefined || url === undefined)
      throw invalid(`invalid value for --mirror: ${item} (want registry=URL, or *=URL)`);
    mirrors[domain] = [...(mirrors[domain] ?? []), url];
  }
  return mirrors;
}

function toProxies(values: Values): Partial<ProxySettings> {
  const [http, https, no] = [values.text("http-proxy"), values.text("https-proxy"), values.text("no-proxy")];
  return {
    ...(http !== undefined && { http }),
    ...(https !== undefined && { https }),
    ...(no !== undefined && { no }),
  };
}

/** dockerd's way to choose who makes cgroups: here it is always their files. @throws invalid for anything else */
function checkExecOptions(options: readonly string[]): void {
  for (const option of options)
    if (option !== "native.cgroupdriver=cgroupfs")
      throw invalid(`invalid value for --exec-opt: ${option} (want native.cgroupdriver=cgroupfs, or nothing)`);
}

/** What is in it is ours, and goes when no container of that name runs: so it is never the root. */
function daemonsCgroupParent(text: string): string {
  const parent = toCgroupParent(text);
  if (parent === "" || parent === "/")
    throw invalid(`invalid value for --cgroup-parent: ${text} (want a path below the root)`);
  return parent;
}

/** One empty text turns CDI off, as with dockerd. */
function toSpecDirs(values: Values): readonly string[] {
  const directories = values.raw.has("cdi-spec-dir") ? values.list("cdi-spec-dir") : ["/etc/cdi", "/var/run/cdi"];
  return directories.filter((directory) => directory !== "");
}

function toRealtime(values: Values): Config["realtime"] {
  const [period, runtime] = [values.number("cpu-rt-period", 0, 0), values.number("cpu-rt-runtime", 0, 0)];
  return { ...(period > 0 && { cpuRealtimePeriod: period }), ...(runtime > 0 && { cpuRealtimeRuntime: runtime }) };
}

/** @returns as `tcp://127.0.0.1:9323`. @throws invalid */
function toMetricsAddress(text = ""): string | undefined {
  if (text === "") return undefined;
  if (!/^(\[[0-9a-fA-F:.]+\]|[^:/\s]*):\d{1,5}$/.test(text))
    throw invalid(`invalid value for --metrics-addr: ${text} (want host:port)`);
  return `tcp://${text}`;
}

function toConfig(values: Values): Config {
  const hosts = values.list("host");
  checkExecOptions(values.list("exec-opt"));
  return Object.freeze({
    hosts: hosts.length > 0 ? hosts : [DEFAULT_HOST],
    logLevel: values.flag("debug", false) ? "debug" : values.choice("log-level", "info", LEVELS),
    logFormat: values.choice("log-format", "text", ["text", "json"]),
    dataRoot: values.text("data-root") ?? "/var/lib/bosun",
    execRoot: values.text("exec-root") ?? "/run/bosun",
    pidfile: values.text("pidfile") ?? "/run/bosun.pid",
    group: values.text("group") ?? "docker",
    groupGiven: values.raw.has("group"),
    storageDriver: values.choice("storage-driver", "auto", ["auto", "erofs", "overlay", "btrfs", "vfs"]),
    insecureRegistries: values.list("insecure-registry"),
    registryMirrors: values.list("registry-mirror"),
    mirrors: toMirrors(values),
    ...toRuntimes(values),
    proxies: toProxies(values),
    maxConcurrentDownloads: values.number("max-concurrent-downloads", 3, 1),
    maxConcurrentUploads: values.number("max-concurrent-uploads", 5, 1),
    maxDownloadAttempts: values.number("max-download-attempts", 5, 1),
    pushCompression: values.choice("push-compression", "gzip", ["gzip", "zstd"]),
    bridge: toBridge(values),
    addressPools:
      values.list("default-address-pool").length > 0
        ? values.list("default-address-pool").map(parseAddressPool)
        : DEFAULT_POOLS,
    firewall: values.flag("iptables", true),
    firewallOnly4: !values.flag("ip6tables", true),
    userlandProxy: values.flag("userland-proxy", true),
    directRouting: values.flag("allow-direct-routing", false),
    hasDefaultBridge: values.text("bridge") !== "none",
    defaultNetworkOptions: toNetworkOptions(values),
    respectHostFirewall: values.flag("respect-host-firewall", false),
    forward: values.flag("ip-forward", true),
    keepsForwardingOpen: values.flag("ip-forward-no-drop", false),
    hostGateways: toHostGateways(values),
    dns: values.list("dns"),
    dnsOptions: values.list("dns-opt"),
    dnsSearch: values.list("dns-search"),
    labels: values.list("label"),
    defaultUlimits: values.list("default-ulimit").map(parseUlimit),
    logDriver: values.text("log-driver") || "json-file",
    logOptions: values.map("log-opt"),
    init: values.flag("init", false),
    noNewPrivileges: values.flag("no-new-privileges", false),
    seccompProfile: values.text("seccomp-profile") ?? "builtin",
    defaultShmSize: parseBytes(values.text("default-shm-size") ?? "64m"),
    cdiSpecDirs: toSpecDirs(values),
    cgroupParent: daemonsCgroupParent(values.text("cgroup-parent") ?? "/bosun"),
    realtime: toRealtime(values),
    defaultIpcMode: values.choice("default-ipc-mode", "private", ["private", "shareable"]),
    defaultCgroupnsMode: values.raw.has("default-cgroupns-mode")
      ? values.choice("default-cgroupns-mode", "private", ["private", "host"])
      : undefined,
    layerLingerS: values.number("layer-linger", 30, 0),
    metricsAddress: toMetricsAddress(values.text("metrics-addr")),
    traceStart: values.flag("trace-start", false),
    shutdownTimeoutS: values.number("shutdown-timeout", 15, 0),
    tls: toTls(values),
  } satisfies Config);
}

export interface Invocation {
  readonly config: Config;
  /** What it was made of. */
  readonly given: Raw;
  /** `--validate` or `--version` was asked for, instead of a daemon. */
  readonly only: "validate" | "version" | undefined;
}

/**
 * @param argv  what follows `bosun daemon`
 * @throws invalid, notImplemented with dockerd's words
 */
export function parseConfig(argv: readonly string[]): Invocation {
  const flags = parseFlags(argv);
  const given = new Values(flags);
  const path = given.text("config-file") ?? DEFAULT_CONFIG_FILE;
  const file = parseFile(path, flags.has("config-file"));
  for (const name of ["config-file", "validate", "version"])
    if (file.has(name))
      throw invalid(`unable to configure the daemon with file ${path}: ${name} belongs on the command line`);
  const only = given.flag("version", false) ? "version" : given.flag("validate", false) ? "validate" : undefined;
  const merged = merge(flags, file, path);
  return { config: toConfig(new Values(merged)), given: merged, only };
}
