/**
 * What a container is asked to be: the domain's own types, and the merge of an image's defaults with a request. Pure.
 * Source of the rules: Docker Engine API, ContainerCreate; Dockerfile reference, "Understand how CMD and ENTRYPOINT interact".
 */

import { invalid } from "../base/errors.ts";
import type { Healthcheck, RunConfig } from "../base/oci.ts";
import { parseBytes } from "../base/units.ts";
import type { PortBinding } from "../network/ports.ts";
import { RLIMIT } from "../runtime/ops.ts";
import { signalNumber } from "../runtime/signals.ts";
import { checkHealthcheck, mergeHealthcheck } from "./health.ts";
import type { IdMaps } from "./id-maps.ts";
import type { ImageMountRequest } from "./image-mounts.ts";
import type { VolumeMount } from "./mounts.ts";
import type { Resources } from "./resources.ts";
import type { RestartPolicy } from "./restart.ts";

export interface Ulimit {
  /** As `nofile`. */
  readonly name: string;
  /** -1 for no limit. */
  readonly soft: number;
  readonly hard: number;
}

export interface DeviceMapping {
  readonly hostPath: string;
  readonly containerPath: string;
  /** Of `r`, `w`, `m`. */
  readonly permissions: string;
}

/** What is asked of whoever knows a kind of device. */
export interface DeviceRequest {
  /** `cdi`, `nvidia`, `amd`; empty for whoever can. */
  readonly driver: string;
  /** -1 for all. */
  readonly count: number;
  readonly ids: readonly string[];
  /** Sets of which one has to be met. */
  readonly capabilities: readonly (readonly string[])[];
  readonly options: Readonly<Record<string, string>>;
}

export interface Bind {
  readonly source: string;
  readonly target: string;
  readonly readonly: boolean;
  /** As `rprivate`. */
  readonly propagation: Propagation;
  /** Whether a missing source is made, as a directory: `-v` does, `--mount` does not. */
  readonly createSource: boolean;
  /** Without what is mounted below the source. */
  readonly nonRecursive: boolean;
  /** What is mounted below the source stays writable. */
  readonly readonlyShallow?: true;
  /** What of the source is bound: no link in it leads out. */
  readonly below?: string;
  /** Whose its files are, in place of their owners on disk. */
  readonly idMaps?: IdMaps;
  /** What cannot be done with its files. */
  readonly less?: readonly ("nosuid" | "nodev" | "noexec")[];
}

const PROPAGATIONS = ["private", "rprivate", "shared", "rshared", "slave", "rslave"] as const;
export type Propagation = (typeof PROPAGATIONS)[number];

export const isPropagation = (text: string): text is Propagation => PROPAGATIONS.some((one) => one === text);

/** With another container, by its id; one that does not exist stays as it was named. */
export type OfContainer = `container:${string}`;

export const containerOf = (mode: string): string | undefined => /^container:(.+)$/s.exec(mode)?.[1];

/** With the host or another container, in place of the container's own. */
export interface Namespaces {
  readonly network: "own" | "host" | OfContainer;
  readonly pid: "private" | "host" | OfContainer;
  readonly ipc: "private" | "shareable" | "none" | "host" | OfContainer;
  readonly uts: "private" | "host";
  readonly cgroup: "private" | "host";
}

export interface LogConfig {
  /** As `json-file`. */
  readonly driver: string;
  readonly options: Readonly<Record<string, string>>;
}

/** How the program runs: from the image, unless the request says otherwise. */
export interface ProcessConfig {
  readonly user: string;
  readonly env: readonly string[];
  readonly workingDir: string;
  readonly entrypoint: readonly string[];
  readonly cmd: readonly string[];
  readonly tty: boolean;
  readonly openStdin: boolean;
  /** Stdin closes when the first client that wrote to it leaves. */
  readonly stdinOnce: boolean;
  readonly attachStdin: boolean;
  readonly attachStdout: boolean;
  readonly attachStderr: boolean;
}

export interface ContainerConfig extends ProcessConfig {
  /** The image as the user named it. */
  readonly image: string;
  readonly hostname: string;
  readonly domainname: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly exposedPorts: readonly string[];
  /** Name or number, as `SIGTERM`. */
  readonly stopSignal: string;
  /** Undefined: the default of 10. -1: without end. */
  readonly stopTimeoutS: number | undefined;
  /** Paths that are volumes, whoever names one: the image's VOLUME, and `-v /path`. */
  readonly volumes: readonly string[];
  readonly onBuild: readonly string[];
  readonly healthcheck?: Healthcheck;
  /** What the image says CMD-SHELL is run by. */
  readonly shell?: readonly string[];
}

export interface HostConfig {
  readonly binds: readonly Bind[];
  /** The binds in the request's own spelling, for inspect: `source:target:options`. */
  readonly bindSpecs: readonly string[];
  /** The request's Mounts as they came, for inspect. */
  readonly mountSpecs: readonly unknown[];
  readonly volumes: readonly VolumeMount[];
  readonly images: readonly ImageMountRequest[];
  /** Containers whose mounts are inherited: `name[:ro]`. */
  readonly volumesFrom: readonly string[];
  /** Of volumes that have to be made; empty for the default. */
  readonly volumeDriver: string;
  /** Target to options: `size=64m,mode=1777`. */
  readonly tmpfs: Readonly<Record<string, string>>;
  readonly namespaces: Namespaces;
  /** The network that the container was made for, by its name; `container:ID`; `host`. */
  readonly networkMode: string;
  /** `container:alias`, of the default bridge. */
  readonly links: readonly string[];
  readonly portBindings: readonly PortBinding[];
  /** Exposed ports get any port of the host, too. */
  readonly publishAll: boolean;
  readonly autoRemove: boolean;
  /** As it was asked for: `default`, the one technology there is; absent means the same. */
  readonly isolation?: string;
  readonly restart: RestartPolicy;
  readonly capAdd: readonly string[];
  readonly capDrop: readonly string[];
  readonly devices: readonly DeviceMapping[];
  readonly deviceRequests: readonly DeviceRequest[];
  /** As `c 7:* rmw`: what is allowed beside the default. */
  readonly deviceCgroupRules: readonly string[];
  /** The cgroup above its own; empty for the daemon's. */
  readonly cgroupParent: string;
  /** Containers are in the host's user namespace in either case. */
  readonly usernsMode: "" | "host";
  readonly dns: readonly string[];
  readonly dnsOptions: readonly string[];
  readonly dnsSearch: readonly string[];
  /** `name:address`. */
  readonly extraHosts: readonly string[];
  readonly groupAdd: readonly string[];
  readonly init: boolean | undefined;
  readonly log: LogConfig;
  readonly oomScoreAdj: number;
  readonly privileged: boolean;
  readonly readonlyRootfs: boolean;
  readonly resources: Resources;
  /** Undefined: the engine's own. */
  readonly runtime?: string;
  /** By which of its names a request asked for the engine's own. */
  readonly ownRuntime?: string;
  readonly securityOpt: readonly string[];
  /** Undefined: Docker's default. */
  readonly maskedPaths: readonly string[] | undefined;
  readonly readonlyPaths: readonly string[] | undefined;
  /** Bytes. */
  readonly shmSize: number;
  /** Of the snapshotter: `size`. */
  readonly storageOpt: Readonly<Record<string, string>>;
  readonly sysctls: Readonly<Record<string, string>>;
  readonly ulimits: readonly Ulimit[];
  /** Rows and columns of the terminal at the start. */
  readonly consoleSize: readonly [rows: number, columns: number];
  readonly annotations: Readonly<Record<string, string>>;
  /** A file that clients write the id to; the engine only keeps it. */
  readonly containerIdFile: string;
}

/** What a request says of the program; what it leaves out comes from the image. */
export interface ContainerRequest extends Partial<Omit<ContainerConfig, "entrypoint" | "cmd">> {
  readonly image: string;
  /** Undefined: the image's. Empty or `[""]`: none, and the image's command is dropped too. */
  readonly entrypoint?: readonly string[];
  readonly cmd?: readonly string[];
}

/** What the snapshotter is to make of the writable layer. @throws invalid */
export function topOf({ storageOpt }: HostConfig): { readonly sizeBytes?: number } {
  const size = Object.values(storageOpt)[0];
  return size === undefined ? {} : { sizeBytes: parseBytes(size) };
}

export const DEFAULT_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

const variable = (entry: string): string => entry.split("=", 1)[0] ?? "";

/** @returns `base` and `over`, where `over` wins; a name without `=` removes the variable. */
export function mergeEnv(base: readonly string[], over: readonly string[]): readonly string[] {
  const merged = new Map(base.map((entry) => [variable(entry), entry]));
  for (const entry of over) {
    if (entry.includes("=")) merged.set(variable(entry), entry);
    else merged.delete(entry);
  }
  return [...merged.values()];
}

/** @returns all of both by name, where `over` wins; a name without `=` stays: it removes the variable only when the container starts. */
function overlayEnv(base: readonly string[], over: readonly string[]): readonly string[] {
  return [...new Map([...base, ...over].map((entry) => [variable(entry), entry])).values()];
}

/**
 * @param image     the image's configuration; undefined for an image without one
 * @param hostname  unless one is asked for
 * @throws invalid when there is nothing to run, or something that cannot be
 */
export function mergeConfig(
  image: RunConfig | undefined,
  request: ContainerRequest,
  hostname: string,
): ContainerConfig {
  const entrypoint = request.entrypoint?.filter((word, _, words) => word !== "" || words.length > 1);
  const cmd = request.cmd ?? [];
  const healthcheck = mergeHealthcheck(image?.Healthcheck, request.healthcheck);
  const config: ContainerConfig = {
    image: request.image,
    hostname: request.hostname || hostname,
    domainname: request.domainname ?? "",
    user: request.user || image?.User || "",
    env: overlayEnv([DEFAULT_PATH], overlayEnv(image?.Env ?? [], request.env ?? [])),
    workingDir: request.workingDir || image?.WorkingDir || "",
    entrypoint: entrypoint ?? image?.Entrypoint ?? [],
    cmd: cmd.length > 0 || entrypoint !== undefined ? cmd : (image?.Cmd ?? []),
    tty: request.tty ?? false,
    openStdin: request.openStdin ?? false,
    stdinOnce: request.stdinOnce ?? false,
    attachStdin: request.attachStdin ?? false,
    attachStdout: request.attachStdout ?? false,
    attachStderr: request.attachStderr ?? false,
    labels: { ...image?.Labels, ...request.labels },
    exposedPorts: [...new Set([...Object.keys(image?.ExposedPorts ?? {}), ...(request.exposedPorts ?? [])])],
    stopSignal: request.stopSignal || image?.StopSignal || "",
    stopTimeoutS: request.stopTimeoutS,
    volumes: [...new Set([...Object.keys(image?.Volumes ?? {}), ...(request.volumes ?? [])])],
    onBuild: image?.OnBuild ?? [],
    ...(healthcheck && { healthcheck: checkHealthcheck(healthcheck) }),
    ...(image?.Shell?.length && { shell: image.Shell }),
  };
  if (config.entrypoint.length + config.cmd.length === 0) throw invalid("no command specified");
  if (config.workingDir !== "" && !config.workingDir.startsWith("/"))
    throw invalid(`the working directory '${config.workingDir}' is invalid, it needs to be an absolute path`);
  if (config.stopSignal !== "") signalNumber(config.stopSignal);
  return config;
}

/** @returns the words to execute. */
export const argvOf = (config: Pick<ContainerConfig, "entrypoint" | "cmd">): readonly string[] => [
  ...config.entrypoint,
  ...config.cmd,
];

const isRlimit = (name: string): name is keyof typeof RLIMIT => Object.hasOwn(RLIMIT, name);

/** @throws invalid for a limit that does not exist */
export function rlimitNumber(name: string): number {
  if (!isRlimit(name)) throw invalid(`invalid ulimit type: ${name}`);
  return RLIMIT[name];
}

/** `nofile=1024` or `nofile=1024:2048`; -1 is no limit. @throws invalid */
export function parseUlimit(text: string): Ulimit {
  const match = /^([a-z]+)=(-?\d+)(?::(-?\d+))?$/.exec(text);
  if (!match?.[1] || !match[2]) throw invalid(`invalid ulimit argument: ${text}`);
  return checkUlimit({ name: match[1], soft: Number(match[2]), hard: Number(match[3] ?? match[2]) });
}

/** @throws invalid for an unknown name, or a soft limit above the hard one */
export function checkUlimit(limit: Ulimit): Ulimit {
  rlimitNumber(limit.name);
  if (limit.hard !== -1 && (limit.soft === -1 || limit.soft > limit.hard))
    throw invalid(`ulimit soft limit must be less than or equal to hard limit: ${limit.soft} > ${limit.hard}`);
  return limit;
}
