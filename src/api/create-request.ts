/**
 * The body of POST /containers/create → the container room's own types. What this engine cannot do yet is refused by name.
 * Source: Docker Engine API 1.50, ContainerConfig and HostConfig.
 */

import { invalid, notImplemented } from "../base/errors.ts";
import type { Healthcheck } from "../base/oci.ts";
import { parseBytes } from "../base/units.ts";
import {
  type ContainerRequest,
  checkUlimit,
  containerOf,
  type DeviceRequest,
  type HostConfig,
  type LogConfig,
  type Namespaces,
  type OfContainer,
} from "../container/config.ts";
import { parseDeviceRule } from "../container/device-rules.ts";
import { toCgroupParent } from "../container/limits.ts";
import { type RestartPolicy, toRestartPolicy } from "../container/restart.ts";
import { isCacheOption } from "../log/options.ts";
import { type Document, isBlank } from "./document.ts";
import { checkTarget, toMounts } from "./mount-request.ts";
import { toBindings, toExposed } from "./ports.ts";
import { inRange, toResources } from "./resources.ts";

const CONFIG_REFUSED = ["Shell"];
const HOST_REFUSED = ["Cgroup"];

export function refuse(document: Document, names: readonly string[]): void {
  const asked = names.find((name) => !isBlank(document.get(name)));
  if (asked !== undefined) throw notImplemented(`${document.path}${asked} is not supported yet`);
}

/** @param body  the whole request body */
export function toContainerRequest(body: Document): ContainerRequest {
  refuse(body, CONFIG_REFUSED);
  const image = body.text("Image");
  if (image === "") throw invalid("no command specified: config.Image is empty");
  const entrypoint = body.words("Entrypoint");
  const cmd = body.words("Cmd");
  return {
    image,
    hostname: checkHostname(body.text("Hostname")),
    domainname: body.text("Domainname"),
    user: body.text("User"),
    env: checkEnv(body.words("Env") ?? []),
    workingDir: body.text("WorkingDir"),
    ...(entrypoint && { entrypoint }),
    ...(cmd && { cmd }),
    tty: body.flag("Tty"),
    openStdin: body.flag("OpenStdin"),
    stdinOnce: body.flag("StdinOnce"),
    attachStdin: body.flag("AttachStdin"),
    attachStdout: body.flag("AttachStdout"),
    attachStderr: body.flag("AttachStderr"),
    labels: body.texts("Labels"),
    ...(body.has("Healthcheck") && { healthcheck: toHealthcheck(body.document("Healthcheck")) }),
    exposedPorts: toExposed(body.document("ExposedPorts")),
    volumes: body.document("Volumes").names.map((path) => checkTarget(path, path)),
    stopSignal: body.text("StopSignal"),
    stopTimeoutS: body.has("StopTimeout") ? body.number("StopTimeout") : undefined,
  };
}

/** Times in nanoseconds. */
const toHealthcheck = (check: Document): Healthcheck => ({
  Test: check.words("Test") ?? [],
  Interval: check.number("Interval"),
  Timeout: check.number("Timeout"),
  StartPeriod: check.number("StartPeriod"),
  StartInterval: check.number("StartInterval"),
  Retries: check.number("Retries"),
});

/** What the kernel takes, and what does not break a line of /etc/hosts: Docker takes more than RFC 1123. Source: sethostname(2). */
function checkHostname(name: string): string {
  if (Buffer.byteLength(name) > 64 || /[\s\p{Cc}]/u.test(name)) throw invalid(`invalid hostname format: ${name}`);
  return name;
}

export function checkEnv(env: readonly string[]): readonly string[] {
  const wrong = env.find((entry) => entry === "" || entry.startsWith("="));
  if (wrong !== undefined) throw invalid(`invalid environment variable: ${wrong}`);
  return env;
}

/** What the daemon gives when a request is silent. */
export interface HostDefaults {
  /** Bytes. */
  readonly shmSize: number;
  readonly log: LogConfig;
  readonly ipc: "private" | "shareable";
  /** With privileged containers the host's, too, on cgroups of the first generation. */
  readonly cgroupns: "private" | "host";
  /** Who asks for none gets this one. */
  readonly runtime: string;
  /** Names of the engine's own, and of those that it was told of. */
  readonly ownRuntimes: readonly string[];
  readonly runtimes: readonly string[];
  /** Where containers are that name no network. */
  readonly network: "bridge" | "none";
}

/** @param host  the body's HostConfig */
export function toHostConfig(host: Document, defaults: HostDefaults): HostConfig {
  refuse(host, HOST_REFUSED);
  const restart = restartOf(host.document("RestartPolicy"));
  if (host.flag("AutoRemove") && restart.name !== "no")
    throw invalid("can't create 'AutoRemove' container with restart policy");
  const runtime = toRuntime(host.text("Runtime"), defaults);
  const isolation = host.text("Isolation");
  if (isolation !== "" && isolation !== "default")
    throw invalid(`invalid isolation (${isolation}): linux only supports 'default'`);
  const networkMode = host.text("NetworkMode").replace(/^(default)?$/, defaults.network); // so inspect names the network itself
  return {
    ...toMounts(host),
    namespaces: toNamespaces(host, networkMode, defaults),
    networkMode,
    links: host.words("Links") ?? [],
    portBindings: toBindings(host.document("PortBindings")),
    publishAll: host.flag("PublishAllPorts"),
    autoRemove: host.flag("AutoRemove"),
    ...(isolation !== "" && { isolation }),
    restart,
    capAdd: host.words("CapAdd") ?? [],
    capDrop: host.words("CapDrop") ?? [],
    devices: host.documents("Devices").map((device) => ({
      hostPath: device.text("PathOnHost"),
      containerPath: device.text("PathInContainer") || device.text("PathOnHost"),
      permissions: checkPermissions(device.text("CgroupPermissions") || "rwm"),
    })),
    deviceRequests: host.documents("DeviceRequests").map(toDeviceRequest),
    deviceCgroupRules: checkDeviceRules(host.words("DeviceCgroupRules") ?? []),
    usernsMode: toUserns(host.text("UsernsMode")),
    cgroupParent: toCgroupParent(host.text("CgroupParent")),
    dns: host.words("Dns") ?? [],
    dnsOptions: host.words("DnsOptions") ?? [],
    dnsSearch: host.words("DnsSearch") ?? [],
    extraHosts: host.words("ExtraHosts") ?? [],
    groupAdd: host.words("GroupAdd") ?? [],
    init: host.has("Init") ? host.flag("Init") : undefined,
    log: toLogConfig(host.document("LogConfig"), defaults.log),
    oomScoreAdj: readOomScore(host.number("OomScoreAdj")),
    privileged: host.flag("Privileged"),
    readonlyRootfs: host.flag("ReadonlyRootfs"),
    resources: toResources(host),
    ...runtime,
    securityOpt: host.words("SecurityOpt") ?? [],
    maskedPaths: host.words("MaskedPaths"),
    readonlyPaths: host.words("ReadonlyPaths"),
    shmSize: inRange("ShmSize", host.number("ShmSize"), 0, Number.MAX_SAFE_INTEGER) || defaults.shmSize,
    storageOpt: checkStorage(host.texts("StorageOpt")),
    sysctls: host.texts("Sysctls"),
    ulimits: host
      .documents("Ulimits")
      .map((limit) =>
        checkUlimit({ name: limit.text("Name"), soft: limit.number("Soft"), hard: limit.number("Hard") }),
      ),
    consoleSize: toConsoleSize(host.get("ConsoleSize")),
    annotations: host.texts("Annotations"),
    containerIdFile: host.text("ContainerIDFile"),
  };
}

function readOomScore(score: number): number {
  if (score < -1000 || score > 1000) throw invalid(`Invalid value ${score}, range for oom score adj is [-1000, 1000]`);
  return score;
}

/** `size` is all that there is. */
function checkStorage(options: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  for (const [name, value] of Object.entries(options)) {
    if (name.toLowerCase() !== "size") throw invalid(`unknown storage option ${name}: want size`);
    if (parseBytes(value) < 1) throw invalid(`invalid storage option size: '${value}'`);
  }
  return options;
}

/** @throws invalid */
export const restartOf = (policy: Document): RestartPolicy =>
  toRestartPolicy(policy.text("Name"), policy.number("MaximumRetryCount"));

function toDeviceRequest(request: Document): DeviceRequest {
  const capabilities = request.get("Capabilities") ?? [];
  const isSet = (value: unknown): value is readonly string[] =>
    Array.isArray(value) && value.every((word) => typeof word === "string");
  if (!Array.isArray(capabilities) || !capabilities.every(isSet))
    throw invalid("invalid JSON: Capabilities must be a list of lists of strings");
  return {
    driver: request.text("Driver"),
    count: request.number("Count"),
    ids: request.words("DeviceIDs") ?? [],
    capabilities,
    options: request.texts("Options"),
  };
}

function checkDeviceRules(rules: readonly string[]): readonly string[] {
  for (const rule of rules) parseDeviceRule(rule);
  return rules;
}

function toUserns(mode: string): "" | "host" {
  if (mode === "" || mode === "host") return mode;
  throw invalid(`invalid userns mode: ${mode}`);
}

function toRuntime(asked: string, defaults: HostDefaults): Pick<HostConfig, "runtime" | "ownRuntime"> {
  const name = asked === "" ? defaults.runtime : asked;
  if (defaults.ownRuntimes.includes(name)) return asked === "" ? {} : { ownRuntime: asked };
  if (!defaults.runtimes.includes(name)) throw invalid(`unknown or invalid runtime name: ${name}`);
  return { runtime: name };
}

function toNamespaces(host: Document, networkMode: string, defaults: HostDefaults): Namespaces {
  return {
    network: toNetwork(networkMode),
    pid: joinable("PID", host.text("PidMode"), { "": "private", private: "private", host: "host" }),
    ipc: joinable("IPC", host.text("IpcMode"), {
      "": defaults.ipc,
      private: "private",
      shareable: "shareable",
      none: "none",
      host: "host",
    }),
    uts: choose("UTS", host.text("UTSMode"), { "": "private", private: "private", host: "host" }),
    cgroup: choose("cgroup namespace", host.text("CgroupnsMode"), {
      "": defaults.cgroupns,
      private: "private",
      host: "host",
    }),
  };
}

/** Whatever else a mode says is the name of a network, which the start looks for. */
function toNetwork(mode: string): Namespaces["network"] {
  const of = containerOf(mode);
  return of !== undefined ? `container:${of}` : mode === "host" ? "host" : "own";
}

const joinable = <T extends string>(
  what: string,
  text: string,
  choices: Readonly<Record<string, T>>,
): T | OfContainer =>
  containerOf(text) === undefined ? choose(what, text, choices) : `container:${containerOf(text)}`;

function choose<T extends string>(what: string, text: string, choices: Readonly<Record<string, T>>): T {
  const choice = Object.hasOwn(choices, text) ? choices[text] : undefined;
  if (choice !== undefined) return choice;
  throw invalid(`invalid ${what} mode: ${text}`);
}

function toLogConfig(log: Document, fallback: LogConfig): LogConfig {
  const driver = log.text("Type") || fallback.driver;
  const defaults = Object.entries(fallback.options).filter(
    ([name]) => driver === fallback.driver || isCacheOption(name),
  );
  return { driver, options: { ...Object.fromEntries(defaults), ...log.texts("Config") } };
}

function toConsoleSize(value: unknown): readonly [number, number] {
  if (value === undefined) return [0, 0];
  const [rows, columns]: unknown[] = Array.isArray(value) ? value : [];
  if (typeof rows !== "number" || typeof columns !== "number")
    throw invalid("invalid JSON: ConsoleSize must be [height, width]");
  return [rows, columns];
}

function checkPermissions(text: string): string {
  if (!/^[rwm]{1,3}$/.test(text)) throw invalid(`invalid device permissions: ${text}`);
  return text;
}
