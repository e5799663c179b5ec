/**
 * The daemon's options as they are given: dockerd's flags and daemon.json's keys → words by name. What they mean is in config.ts.
 * Source: `dockerd --help` of Docker 28 and its documentation of daemon.json. An option that this engine does not have yet is refused by
 * name, never ignored.
 */

import { readFileSync } from "node:fs";
import { hasCode, invalid, messageOf, notImplemented } from "./base/errors.ts";
import { isObject } from "./base/objects.ts";

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
  "ip-forward-no-drop": { kind: "bool" },
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
  "exec-opt": { kind: "list", key: "exec-opts" },
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

/** Keys that dockerd knows and this engine does not have. */
const DOCKERDS = [
  ...["features", "experimental", "storage-opts", "userns-remap", "authorization-plugins", "node-generic-resources"],
  ...["containerd", "containerd-namespace", "containerd-plugin-namespace", "builder", "swarm-default-advertise-addr"],
  ...["cluster-advertise", "cluster-store", "cluster-store-opts", "network-control-plane-mtu", "init-path"],
  ...["raw-logs", "rootless", "oom-score-adjust", "userland-proxy-path", "min-api-version", "debug-addr"],
];

/** For a help text: as `-H, --host list`. */
export const OPTION_NAMES: readonly string[] = Object.entries(OPTIONS).map(
  ([name, { kind, short }]) => `${short ? `-${short}, ` : "    "}--${name}${kind === "bool" ? "" : ` ${kind}`}`,
);

/** dockerd's old spellings. */
const ALIASES: Readonly<Record<string, string>> = { graph: "data-root" };

/** And of keys in daemon.json. */
const FILE_ALIASES: Readonly<Record<string, string>> = { ...ALIASES, "host-gateway-ip": "host-gateway-ips" };

/** Options by their flags' names, each with what was given for it. */
export type Raw = Map<string, string[]>;

const shortNames = new Map(Object.entries(OPTIONS).flatMap(([name, { short }]) => (short ? [[short, name]] : [])));

function optionFor(name: string): Option {
  const option = Object.hasOwn(OPTIONS, name) ? OPTIONS[name] : undefined;
  if (!option) throw notImplemented(`unknown or not yet supported flag: --${name}. See 'bosun daemon --help'`);
  return option;
}

/** `--name value`, `--name=value`, `-n value`, `-nvalue`, `--bool`, `-D`; one dash before a long name is Docker's old spelling. */
export function parseFlags(argv: readonly string[]): Raw {
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

export function scalar(key: string, value: unknown): string {
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

export function parseFile(path: string, mustExist: boolean): Raw {
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
  const lacking = unknown.filter((key) => DOCKERDS.includes(key));
  if (lacking.length > 0)
    throw notImplemented(
      `unable to configure the daemon with file ${path}: this engine does not have these options of dockerd's: ${lacking.join(", ")}`,
    );
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
export function merge(flags: Raw, file: Raw, path: string): Raw {
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
export class Values {
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
