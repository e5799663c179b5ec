/**
 * The daemon's configuration: dockerd's flags and daemon.json's keys in, one frozen value with every default out.
 * Source: `dockerd --help` of Docker 28 and its documentation of daemon.json. An option that this engine does not have yet is refused by
 * name, never ignored.
 */

import { readFileSync } from "node:fs";
import { hasCode, invalid, messageOf, notImplemented } from "./base/errors.ts";
import { LEVELS, type Level } from "./base/logger.ts";
import { isObject } from "./base/objects.ts";
import { parseBytes } from "./base/units.ts";
import { parseUlimit, type Ulimit } from "./container/config.ts";
import { toCgroupParent } from "./container/limits.ts";
import { asAddress, parseCidr } from "./network/addresses.ts";
import type { DefaultBridgeOptions, FamilyOptions } from "./network/default-bridge.ts";
import { type AddressPool, DEFAULT_POOLS, parseAddressPool } from "./network/pools.ts";
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

type Kind = "bool" | "string" | "int" | "list" | "map";
interface Option {
  readonly kind: Kind;
  readonly short?: string;
  /** Its key in daemon.json, when it is not the flag's name. */
  readonly key?: string;
}

/** Every option that works. */
const OPTIONS: Readonly<Record<string, Option>> = {
  host: { kind: "list", short: "H", key: "hosts" },
  debug: { kind: "bool", short: "D" },
  "log-level": { kind: "string", short: "l" },
  "log-format": { kind: "string" },
  "data-root": { kind: "string", short: "g" },
  "exec-root": { kind: "string" },
  pidfile: { kind: "string", short: "p" },
  group: { kind: "string", short: "G" },
  "config-file": { kind: "string" },
  "storage-driver": { kind: "string", short: "s" },
  "insecure-registry": { kind: "list", key: "insecure-registries" },
  "registry-mirror": { kind: "list", key: "registry-mirrors" },
  mirror: { kind: "list", key: "mirrors" },
  "http-proxy": { kind: "string", key: "proxies.http-proxy" },
  "https-proxy": { kind: "string", key: "proxies.https-proxy" },
  "no-proxy": { kind: "string", key: "proxies.no-proxy" },
  "max-concurrent-downloads": { kind: "int" },
  "max-concurrent-uploads": { kind: "int" },
  "max-download-attempts": { kind: "int" },
  "push-compression": { kind: "string" },
  bridge: { kind: "string", short: "b" },
  bip: { kind: "string" },
  bip6: { kind: "string" },
  "fixed-cidr": { kind: "string" },
  "fixed-cidr-v6": { kind: "string" },
  "default-gateway": { kind: "string" },
  "default-gateway-v6": { kind: "string" },
  "default-address-pool": { kind: "list", key: "default-address-pools" },
  icc: { kind: "bool" },
  ip: { kind: "string" },
  ipv6: { kind: "bool" },
  mtu: { kind: "int" },
  "ip-masq": { kind: "bool" },
  iptables: { kind: "bool" },
  ip6tables: { kind: "bool" },
  "userland-proxy": { kind: "bool" },
  "allow-direct-routing": { kind: "bool" },
  "default-network-opt": { kind: "list", key: "default-network-opts" },
  "respect-host-firewall": { kind: "bool" },
  "ip-forward": { kind: "bool" },
  "host-gateway-ip": { kind: "list", key: "host-gateway-ips" },
  dns: { kind: "list" },
  "dns-opt": { kind: "list", key: "dns-opts" },
  "dns-search": { kind: "list" },
  label: { kind: "list", key: "labels" },
  "default-ulimit": { kind: "list", key: "default-ulimits" },
  "log-driver": { kind: "string" },
  "log-opt": { kind: "map", key: "log-opts" },
  init: { kind: "bool" },
  "no-new-privileges": { kind: "bool" },
  "seccomp-profile": { kind: "string" },
  "default-shm-size": { kind: "string" },
  "cdi-spec-dir": { kind: "list", key: "cdi-spec-dirs" },
  "add-runtime": { kind: "list", key: "runtimes" },
  "default-runtime": { kind: "string" },
  "cgroup-parent": { kind: "string" },
  "cpu-rt-period": { kind: "int" },
  "cpu-rt-runtime": { kind: "int" },
  "default-ipc-mode": { kind: "string" },
  "default-cgroupns-mode": { kind: "string" },
  "shutdown-timeout": { kind: "int" },
  "layer-linger": { kind: "int" },
  "metrics-addr": { kind: "string" },
  "trace-start": { kind: "bool" },
  "live-restore": { kind: "bool" },
  tls: { kind: "bool" },
  tlscacert: { kind: "string" },
  tlscert: { kind: "string" },
  tlskey: { kind: "string" },
  tlsverify: { kind: "bool" },
  validate: { kind: "bool" },
  version: { kind: "bool", short: "v" },
};

/** For a help text: as `-H, --host list`. */
export const OPTION_NAMES: readonly string[] = Object.entries(OPTIONS).map(
  ([name, { kind, short }]) => `${short ? `-${short}, ` : "    "}--${name}${kind === "bool" ? "" : ` ${kind}`}`,
);

/** dockerd's old spellings. */
const ALIASES: Readonly<Record<string, string>> = { graph: "data-root" };

/** And of keys in daemon.json. */
const FILE_ALIASES: Readonly<Record<string, string>> = { ...ALIASES, "host-gateway-ip": "host-gateway-ips" };

/** What the `data-root` of an engine without flags is. */
export const DEFAULT_HOST = "unix:///run/bosun.sock";
export const DEFAULT_CONFIG_FILE = "/etc/bosun/daemon.json";

type Raw = Map<string, string[]>;

const shortNames = new Map(Object.entries(OPTIONS).flatMap(([name, { short }]) => (short ? [[short, name]] : [])));

function optionFor(name: string): Option {
  const option = Object.hasOwn(OPTIONS, name) ? OPTIONS[name] : undefined;
  if (!option) throw notImplemented(`unknown or not yet supported flag: --${name}. See 'bosun daemon --help'`);
  return option;
}

/** `--name value`, `--name=value`, `-n value`, `-nvalue`, `--bool`, `-D`; one dash before a long name is Docker's old spelling. */
function parseFlags(argv: readonly string[]): Raw {
  const raw: Raw = new Map();
  const words = argv.values();
  for (const word of words) {
    if (!word.startsWith("-") || word === "-") throw invalid(`unexpected argument: ${word}`);
    const [, name, attached] = splitFlag(word);
    const option = optionFor(name);
    const value = attached ?? (option.kind === "bool" ? "true" : words.next().value);
    if (value === undefined) throw invalid(`flag needs an argument: ${word}`);
    raw.set(name, [...(raw.get(name) ?? []), value]);
  }
  return raw;
}

function splitFlag(word: string): [dashes: string, name: string, attached: string | undefined] {
  const long = /^(--?)([a-z][a-z0-9-]+)(?:=(.*))?$/s.exec(word);
  const known = long?.[2] && (ALIASES[long[2]] ?? long[2]);
  if (long && known && (word.startsWith("--") || Object.hasOwn(OPTIONS, known))) return ["--", known, long[3]];
  const name = shortNames.get(word.slice(1, 2));
  if (!name) throw invalid(`unknown shorthand flag: ${word}. See 'bosun daemon --help'`);
  return ["-", name, word.length > 2 ? word.slice(2).replace(/^=/, "") : undefined];
}

function scalar(key: string, value: unknown): string {
  if (typeof value === "string" || typeof value === "number" || typeof value === "boolean") return String(value);
  throw invalid(`daemon.json: ${key}: unexpected ${JSON.stringify(value)}`);
}

function fileValues(key: string, option: Option, value: unknown): string[] {
  if (key === "default-address-pools" && Array.isArray(value)) return value.map(poolText);
  if (key === "host-gateway-ip" && !Array.isArray(value)) return [scalar(key, value)]; // of the time when there was one
  if (option.kind === "list" && Array.isArray(value)) return value.map((item) => scalar(key, item));
  const entries =
    typeof value === "object" && value !== null && !Array.isArray(value) ? Object.entries(value) : undefined;
  if (key === "mirrors" && entries)
    return entries.flatMap(([domain, urls]) => fileValues(domain, option, urls).map((url) => `${domain}=${url}`));
  if (key === "default-network-opts" && entries)
    return entries.flatMap(([driver, options]) =>
      Object.entries(isObject(options) ? options : {}).map(([name, item]) => `${driver}=${name}=${scalar(key, item)}`),
    );
  if (key === "runtimes" && entries) return entries.map(([name, item]) => `${name}=${JSON.stringify(item)}`);
  if (option.kind === "map" && entries) return entries.map(([name, item]) => `${name}=${scalar(key, item)}`);
  if (key === "default-ulimits" && entries) return entries.map(([name, item]) => `${name}=${ulimitText(item)}`);
  if (option.kind === "list" || option.kind === "map")
    throw invalid(`daemon.json: ${key}: unexpected ${JSON.stringify(value)}`);
  return [scalar(key, value)];
}

const poolText = (value: unknown): string => {
  const pool: { base?: unknown; size?: unknown } = isObject(value) ? value : {};
  return `base=${pool.base},size=${pool.size}`;
};

const ulimitText = (value: unknown): string => {
  const item: { Soft?: unknown; Hard?: unknown } = typeof value === "object" && value !== null ? value : {};
  return `${item.Soft ?? item.Hard}:${item.Hard ?? item.Soft}`;
};

function parseFile(path: string, mustExist: boolean): Raw {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    if (!mustExist && hasCode(error, "ENOENT")) return new Map();
    throw invalid(`unable to configure the daemon with file ${path}: ${messageOf(error)}`);
  }
  let document: unknown;
  try {
    document = text.trim() === "" ? {} : JSON.parse(text);
  } catch (error) {
    throw invalid(`unable to configure the daemon with file ${path}: ${messageOf(error)}`);
  }
  if (typeof document !== "object" || document === null || Array.isArray(document))
    throw invalid(`unable to configure the daemon with file ${path}: want a JSON object`);
  const given = new Map(Object.entries(document).flatMap(([key, value]) => flattened(key, value)));
  const byKey = new Map(Object.entries(OPTIONS).map(([name, option]) => [option.key ?? name, name]));
  const unknown = [...given.keys()].filter((key) => !byKey.has(FILE_ALIASES[key] ?? key));
  if (unknown.length > 0)
    throw invalid(
      `unable to configure the daemon with file ${path}: the following directives don't match any configuration option: ${unknown.join(", ")}`,
    );
  return new Map(
    [...given].map(([key, value]) => {
      const name = byKey.get(FILE_ALIASES[key] ?? key) ?? key;
      return [name, fileValues(key, optionFor(name), value)];
    }),
  );
}

/** `proxies` is the one key that groups others: `proxies.http-proxy`. */
const flattened = (key: string, value: unknown): [key: string, value: unknown][] =>
  key === "proxies" && isObject(value)
    ? Object.entries(value).map(([name, one]) => [`proxies.${name}`, one])
    : [[key, value]];

/** Lists may be given in both places, anything else in one only: dockerd's rule. */
function merge(flags: Raw, file: Raw, path: string): Raw {
  const twice = [...file.keys()].filter(
    (name) => flags.has(name) && (optionFor(name).kind !== "list" || name === "host"),
  );
  if (twice.length > 0)
    throw invalid(
      `unable to configure the daemon with file ${path}: the following directives are specified both as a flag and in the configuration file: ${twice
        .map((name) => `${name}: (from flag: ${flags.get(name)}, from file: ${file.get(name)})`)
        .join(", ")}`,
    );
  const merged: Raw = new Map(file);
  for (const [name, values] of flags) merged.set(name, [...(merged.get(name) ?? []), ...values]);
  return merged;
}

/** Typed access to the raw words. */
class Values {
  constructor(readonly raw: Raw) {}

  list = (name: string): readonly string[] => this.raw.get(name) ?? [];
  text = (name: string): string | undefined => this.raw.get(name)?.at(-1);

  flag(name: string, fallback: boolean): boolean {
    const text = this.text(name);
    if (text === undefined) return fallback;
    if (/^(1|t|true)$/i.test(text)) return true;
    if (/^(0|f|false)$/i.test(text)) return false;
    throw invalid(`invalid boolean value ${JSON.stringify(text)} for --${name}`);
  }

  number(name: string, fallback: number, least: number): number {
    const text = this.text(name);
    if (text === undefined) return fallback;
    const value = Number(text);
    if (!Number.isInteger(value) || value < least)
      throw invalid(`invalid value for --${name}: ${text} (want at least ${least})`);
    return value;
  }

  choice<const T extends string>(name: string, fallback: T, choices: readonly T[]): T {
    const text = this.text(name) ?? fallback;
    const choice = choices.find((candidate) => candidate === text);
    if (choice === undefined) throw invalid(`invalid value for --${name}: ${text} (want ${choices.join(", ")})`);
    return choice;
  }

  map(name: string): Record<string, string> {
    return Object.fromEntries(
      this.list(name).map((item) => {
        const at = item.indexOf("=");
        if (at < 1) throw invalid(`invalid value for --${name}: ${item} (want key=value)`);
        return [item.slice(0, at), item.slice(at + 1)];
      }),
    );
  }
}

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
  if (named && !/^(?!\.\.?$)[^\s/:]{1,15}$/.test(named))
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
  return { config: toConfig(new Values(merge(flags, file, path))), only };
}
