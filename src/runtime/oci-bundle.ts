/**
 * A plan told to an OCI runtime: what of it the shim still does, and the configuration that says the rest. Pure. An operation that no configuration
 * has a word for is refused. Source: runtime-spec config.md, config-linux.md.
 */

import { notImplemented } from "../base/errors.ts";
import { CAPABILITIES } from "./capability-names.ts";
import type { DeviceRule } from "./cgroup.ts";
import { CLONE, MS, type Op, type Plan, RLIMIT, S_IF } from "./ops.ts";
import { APPARMOR } from "./ops-oci.ts";

/** Configurations of this version are known to every runtime. */
const SPEC_VERSION = "1.0.2";

export interface OciBundle {
  /** On the host's side: stdio, the log, layers. */
  readonly outside: readonly Op[];
  /** In a mount namespace of the shim's own: the root. Empty for a process that joins others. */
  readonly inside: readonly Op[];
  /** The container's root, on the host; undefined for a process that joins others. */
  readonly root: string | undefined;
  readonly terminal: boolean;
  readonly user: { readonly spec: string; readonly groups: readonly string[] };
  /** `config.json`, or `process.json`, before and after the user. */
  readonly document: readonly [before: string, after: string];
}

interface Mount {
  readonly destination: string;
  readonly type: string;
  readonly source: string;
  readonly options: readonly string[];
}

/** What is gathered while the plan is read. */
interface Draft {
  readonly outside: Op[];
  readonly inside: Op[];
  root: string | undefined;
  terminal: boolean;
  user: OciBundle["user"];
  readonly namespaces: Map<string, string>;
  readonly mounts: Mount[];
  readonly devices: object[];
  readonly sysctl: Record<string, string>;
  readonly masked: string[];
  readonly readonlyPaths: string[];
  readonly rlimits: string[];
  readonly process: Record<string, unknown>;
  readonly config: Record<string, unknown>;
  readonly linux: Record<string, unknown>;
  rootReadonly: boolean;
}

const NAMESPACES: readonly (readonly [flag: number, type: string])[] = [
  [CLONE.newPid, "pid"],
  [CLONE.newNet, "network"],
  [CLONE.newIpc, "ipc"],
  [CLONE.newUts, "uts"],
  [CLONE.newNs, "mount"],
  [CLONE.newCgroup, "cgroup"],
];

const WORDS: readonly (readonly [flag: number, word: string])[] = [
  [MS.rdonly, "ro"],
  [MS.nosuid, "nosuid"],
  [MS.nodev, "nodev"],
  [MS.noexec, "noexec"],
  [MS.noatime, "noatime"],
  [MS.nodiratime, "nodiratime"],
  [MS.relatime, "relatime"],
  [MS.strictatime, "strictatime"],
  [MS.synchronous, "sync"],
];
const PROPAGATION: readonly (readonly [flag: number, word: string])[] = [
  [MS.private, "private"],
  [MS.slave, "slave"],
  [MS.shared, "shared"],
];

const wordsOf = (table: typeof WORDS, flags: number): string[] =>
  table.filter(([flag]) => (flags & flag) !== 0).map(([, word]) => word);

const addNamespaces = (draft: Draft, flags: number): void => {
  for (const [flag, type] of NAMESPACES) if ((flags & flag) !== 0) draft.namespaces.set(type, "");
};

const CGROUPS = "/sys/fs/cgroup";
const isInCgroups = (path: string): boolean => path.startsWith(`${CGROUPS}/`);

/** Of a cgroup's trees a configuration has but one mount. */
function addMount(
  draft: Draft,
  [type = "", source = "", target = "", flags = "0", data = ""]: readonly string[],
): void {
  const options = wordsOf(WORDS, Number(flags));
  if (target === CGROUPS) draft.mounts.push({ destination: target, type: "cgroup", source: "cgroup", options });
  else
    draft.mounts.push({
      destination: target,
      type,
      source: source || type,
      options: [...options, ...data.split(",").filter(Boolean)],
    });
}

function addBind(
  draft: Draft,
  [source = "", target = "", flags = "0", deep = "0", , ...more]: readonly string[],
): void {
  if (isInCgroups(target)) return;
  if (more.length > 0)
    throw notImplemented(`a part of ${source}, or other owners of it, cannot be mounted at ${target} by this runtime`);
  const [own, all] = [Number(flags), Number(deep)];
  const options = [
    (own & MS.rec) === 0 ? "bind" : "rbind",
    ...wordsOf(WORDS, own | all),
    ...wordsOf(PROPAGATION, own),
    ...wordsOf(PROPAGATION, all).map((word) => `r${word}`),
  ];
  draft.mounts.push({ destination: target, type: "bind", source, options });
}

/** A cgroup that is read-only is so by its mount. */
function addReadonly(draft: Draft, path: string): void {
  if (path !== CGROUPS) return void draft.readonlyPaths.push(path);
  const at = draft.mounts.findIndex(({ destination }) => destination === CGROUPS);
  const mount = draft.mounts[at];
  if (mount) draft.mounts[at] = { ...mount, options: [...mount.options, "ro"] };
}

/** Source: inode(7). */
const KINDS: ReadonlyMap<number, string> = new Map([
  [S_IF.chr, "c"],
  [S_IF.blk, "b"],
  [S_IF.fifo, "p"],
]);

function addDevice(draft: Draft, [path, mode, major, minor, uid, gid]: readonly string[]): void {
  const bits = Number(mode);
  const numbers = { major: Number(major), minor: Number(minor), uid: Number(uid), gid: Number(gid) };
  draft.devices.push({ type: KINDS.get(bits & 0o170000), path, fileMode: bits & 0o7777, ...numbers });
}

const RLIMITS: ReadonlyMap<number, string> = new Map(
  Object.entries(RLIMIT).map(([name, number]) => [number, `RLIMIT_${name.toUpperCase()}`]),
);

/** As JSON text: 64 bits are more than JavaScript's numbers hold. */
const rlimitText = ([number, soft = "0", hard = "0"]: readonly string[]): string =>
  `{"type":"${RLIMITS.get(Number(number)) ?? ""}","soft":${BigInt(soft)},"hard":${BigInt(hard)}}`;

const capabilityNames = (hex = "0"): readonly string[] =>
  CAPABILITIES.filter((_, bit) => ((BigInt(`0x${hex}`) >> BigInt(bit)) & 1n) === 1n);

function setCapabilities(
  draft: Draft,
  [bounding, effective, permitted, inheritable, ambient]: readonly string[],
): void {
  draft.process.capabilities = {
    bounding: capabilityNames(bounding),
    effective: capabilityNames(effective),
    permitted: capabilityNames(permitted),
    inheritable: capabilityNames(inheritable),
    ambient: capabilityNames(ambient),
  };
}

const JOINED = new Map<number, string>(NAMESPACES);

type Teller = (draft: Draft, args: readonly string[], op: Op) => void;

const nothing: Teller = () => {};
const toOutside: Teller = (draft, _, op) => void draft.outside.push(op);

/** Before `root` they make it, on either side of `clone`; then they are the container's. */
const rootOr =
  (tell: Teller): Teller =>
  (draft, args, op) => {
    if (draft.root !== undefined) tell(draft, args, op);
    else if (draft.namespaces.has("mount")) draft.inside.push(op);
    else draft.outside.push(op);
  };

/** A number that is left out means any. */
const ruleOf = ({ allow, type, major, minor, access }: DeviceRule): object => ({
  ...{ allow, type, access },
  ...(major >= 0 && { major }),
  ...(minor >= 0 && { minor }),
});

/** What each operation is to a configuration. */
const TELLERS: Readonly<Record<string, Teller>> = {
  stdio: (draft, args, op) => {
    draft.terminal = args[0] === "pty";
    draft.process.terminal = draft.terminal;
    draft.outside.push(op);
  },
  log: toOutside,
  layer: toOutside,
  "oci-runtime": (draft, [, devices = "[]"]) => {
    const rules: DeviceRule[] = JSON.parse(devices); // that of viaRuntime()
    draft.linux.resources = { devices: rules.map(ruleOf) };
  },
  join: (draft, [path = "", flag]) => void draft.namespaces.set(JOINED.get(Number(flag)) ?? "", path),
  clone(draft, [flags, cgroup]) {
    addNamespaces(draft, Number(flags));
    if (cgroup !== undefined) draft.linux.cgroupsPath ??= `${cgroup}/cgroup.procs`;
  },
  unshare: (draft, [flags]) => addNamespaces(draft, Number(flags)),
  cgroup: (draft, [procs = ""]) => void Object.assign(draft.linux, { cgroupsPath: draft.linux.cgroupsPath ?? procs }),
  propagation: rootOr(nothing),
  overlay: rootOr(() => {
    throw notImplemented("an overlay cannot be told to this runtime");
  }),
  bind: rootOr(addBind),
  mount: rootOr(addMount),
  root: (draft, [path]) => {
    draft.root = path;
  },
  mkdir: rootOr(nothing), // runtimes make what they mount on
  file: rootOr(() => {
    throw notImplemented("a file in the root cannot be told to this runtime");
  }),
  symlink: nothing,
  loopback: nothing,
  wait: nothing,
  pivot: nothing,
  session: nothing,
  console: nothing,
  mknod: addDevice,
  mask: (draft, [path = ""]) => void draft.masked.push(path),
  readonly: (draft, [path = ""]) => addReadonly(draft, path),
  hostname: (draft, [name]) => void Object.assign(draft.config, { hostname: name }),
  domainname: (draft, [name]) => void Object.assign(draft.config, { domainname: name }),
  sysctl: (draft, [name = "", value = ""]) => void Object.assign(draft.sysctl, { [name]: value }),
  "remount-ro-root": (draft) => void Object.assign(draft, { rootReadonly: true }),
  rlimit: (draft, args) => void draft.rlimits.push(rlimitText(args)),
  "oom-score": (draft, [score]) => void Object.assign(draft.process, { oomScoreAdj: Number(score) }),
  umask: nothing, // 022, which is every runtime's
  cwd: (draft, [path]) => void Object.assign(draft.process, { cwd: path }),
  user: (draft, [spec = "", ...groups]) => void Object.assign(draft, { user: { spec, groups } }),
  label: (draft, [file, text = ""]) => {
    if (file === APPARMOR) draft.process.apparmorProfile = text.replace(/^exec /, "");
    else throw notImplemented(`${file} cannot be told to this runtime`);
  },
  "no-new-privs": (draft) => void Object.assign(draft.process, { noNewPrivileges: true }),
  "seccomp-profile": (draft, [profile = "{}"]) => void Object.assign(draft.linux, { seccomp: JSON.parse(profile) }),
  caps: setCapabilities,
  env: (draft, variables) => void Object.assign(draft.process, { env: variables }),
  exec: (draft, args) => void Object.assign(draft.process, { args: args }),
};

const emptyDraft = (): Draft => ({
  ...{ outside: [], inside: [], root: undefined, terminal: false, user: { spec: "", groups: [] } },
  ...{ namespaces: new Map(), mounts: [], devices: [], sysctl: {}, masked: [], readonlyPaths: [], rlimits: [] },
  ...{ process: { cwd: "/", env: [] }, config: {}, linux: {}, rootReadonly: false },
});

function configOf(draft: Draft, cgroupOf: (procs: string) => string): object {
  const { cgroupsPath } = draft.linux;
  return {
    ociVersion: SPEC_VERSION,
    ...draft.config,
    root: { path: draft.root, readonly: draft.rootReadonly },
    mounts: draft.mounts,
    linux: {
      ...draft.linux,
      ...(typeof cgroupsPath === "string" && { cgroupsPath: cgroupOf(cgroupsPath) }),
      namespaces: [...draft.namespaces].map(([type, path]) => (path === "" ? { type } : { type, path })),
      devices: draft.devices,
      sysctl: draft.sysctl,
      maskedPaths: draft.masked,
      readonlyPaths: draft.readonlyPaths,
    },
  };
}

/** Members of an object as text, to stand behind others. */
const furtherMembers = (value: object): string => `,${JSON.stringify(value).slice(1)}`;

function documentOf(draft: Draft, cgroupOf: (procs: string) => string): OciBundle["document"] {
  const process = `,"rlimits":[${draft.rlimits.join(",")}]${furtherMembers(draft.process)}`;
  return draft.root === undefined
    ? ['{"user":', process]
    : ['{"process":{"user":', `${process}${furtherMembers(configOf(draft, cgroupOf))}`];
}

/**
 * @param cgroupOf  the entrance of a cgroup to the cgroup's path below the root of its tree
 * @throws notImplemented for an operation that no configuration tells
 */
export function toBundle(plan: Plan, cgroupOf: (procs: string) => string): OciBundle {
  const draft = emptyDraft();
  for (const op of plan) {
    const [name, ...args] = op;
    const tell = TELLERS[name];
    if (tell === undefined) throw notImplemented(`${name} cannot be told to this runtime`);
    tell(draft, args, op);
  }
  const { outside, inside, root, terminal, user } = draft;
  return { outside, inside, root, terminal, user, document: documentOf(draft, cgroupOf) };
}
