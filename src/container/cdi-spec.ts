/**
 * The Container Device Interface: what a vendor's file says a container needs to use a device. Pure.
 * Source: github.com/cncf-tags/container-device-interface, SPEC.md, version 1.0.0.
 */

import { invalid } from "../base/errors.ts";
import { isObject } from "../base/objects.ts";

export interface CdiNode {
  /** In the container. */
  readonly path: string;
  readonly hostPath: string;
  /** Of `r`, `w`, `m`. */
  readonly permissions: string;
  /** What is left out is as it is on the host. */
  readonly mode?: number;
  readonly uid?: number;
  readonly gid?: number;
}

export interface CdiMount {
  readonly hostPath: string;
  readonly containerPath: string;
  readonly options: readonly string[];
}

/** A program of the host's that prepares a container's root, in the container's namespaces, before that becomes the root. */
export interface CdiHook {
  readonly path: string;
  /** From the program's name for itself on. */
  readonly args: readonly string[];
  readonly env: readonly string[];
  /** Seconds; 0 for ever. */
  readonly timeout: number;
}

export interface CdiEdits {
  readonly env: readonly string[];
  readonly nodes: readonly CdiNode[];
  readonly mounts: readonly CdiMount[];
  readonly gids: readonly number[];
  readonly hooks: readonly CdiHook[];
  /** What is asked for and cannot be done here; a device of which there is some is refused. */
  readonly impossible: readonly string[];
}

/** A vendor's devices of one class. */
export interface CdiSpec {
  /** As `vendor.com/class`. */
  readonly kind: string;
  /** For whatever devices of it, once. */
  readonly edits: CdiEdits;
  readonly devices: ReadonlyMap<string, CdiEdits>;
}

type Fields = Readonly<Record<string, unknown>>;

const KIND = /^[A-Za-z][A-Za-z0-9_.-]*\/[A-Za-z][A-Za-z0-9_-]*$/;
const DEVICE = /^[A-Za-z0-9]([A-Za-z0-9_.:-]*[A-Za-z0-9])?$/;
const QUALIFIED = /^([^=]+)=(.+)$/s;

/** `vendor.com/class=name` → its parts; undefined when it is none. */
export function parseCdiName(text: string): { readonly kind: string; readonly name: string } | undefined {
  const [, kind = "", name = ""] = QUALIFIED.exec(text) ?? [];
  return KIND.test(kind) && DEVICE.test(name) ? { kind, name } : undefined;
}

class Reader {
  constructor(
    readonly fields: Fields,
    readonly path: string,
  ) {}

  wrong(name: string, wanted: string): never {
    throw invalid(`${this.path}${name} must be ${wanted}`);
  }

  text(name: string, fallback?: string): string {
    const value = this.fields[name] ?? fallback;
    return typeof value === "string" && !value.includes("\0") ? value : this.wrong(name, "a string");
  }

  number(name: string): number | undefined {
    const value = this.fields[name];
    if (value === undefined || value === null) return undefined;
    return typeof value === "number" && Number.isSafeInteger(value) && value >= 0
      ? value
      : this.wrong(name, "a number");
  }

  list<T>(name: string, read: (value: unknown, path: string) => T): readonly T[] {
    const value = this.fields[name] ?? [];
    if (!Array.isArray(value)) this.wrong(name, "a list");
    return value.map((item: unknown, at: number) => read(item, `${this.path}${name}[${at}]`));
  }

  words(name: string): readonly string[] {
    return this.list(name, (value, path) => {
      if (typeof value !== "string" || value.includes("\0")) throw invalid(`${path} must be a string`);
      return value;
    });
  }

  objects<T>(name: string, read: (inner: Reader) => T): readonly T[] {
    return this.list(name, (value, path) => read(readerOf(value, path)));
  }
}

function readerOf(value: unknown, path: string): Reader {
  if (!isObject(value)) throw invalid(`${path || "the document"} must be an object`);
  return new Reader(value, path === "" ? "" : `${path}.`);
}

const absolute = (reader: Reader, name: string, fallback?: string): string => {
  const path = reader.text(name, fallback);
  return path.startsWith("/") ? path : reader.wrong(name, "an absolute path");
};

function nodeOf(reader: Reader): CdiNode {
  const path = absolute(reader, "path");
  const [mode, uid, gid] = [reader.number("fileMode"), reader.number("uid"), reader.number("gid")];
  const permissions = reader.text("permissions", "rwm");
  if (!/^[rwm]{1,3}$/.test(permissions)) reader.wrong("permissions", "of r, w and m");
  return {
    path,
    hostPath: absolute(reader, "hostPath", path),
    permissions,
    ...(mode !== undefined && { mode }),
    ...(uid !== undefined && { uid }),
    ...(gid !== undefined && { gid }),
  };
}

const mountOf = (reader: Reader): CdiMount => ({
  hostPath: absolute(reader, "hostPath"),
  containerPath: absolute(reader, "containerPath"),
  options: reader.words("options"),
});

/** Options of a mount that a bind can have. */
const CDI_MOUNT_OPTIONS: readonly string[] = [
  ...["ro", "rw", "bind", "rbind", "nosuid", "nodev", "noexec", "suid", "dev", "exec"],
  ...["private", "rprivate", "slave", "rslave", "shared", "rshared"],
];

/** The one kind that vendors' files have today; the others would run on the host's side, or in the container's root. */
const HOOK_KIND = "createContainer";

function hookOf(reader: Reader): CdiHook {
  const path = absolute(reader, "path");
  const [args, timeout = 0] = [reader.words("args"), reader.number("timeout")];
  if (timeout < 0) reader.wrong("timeout", "of 0 or more");
  return { path, args: args.length > 0 ? args : [path], env: reader.words("env"), timeout };
}

function impossibleIn(reader: Reader, mounts: readonly CdiMount[]): readonly string[] {
  const isThere = (name: string) => {
    const value = reader.fields[name];
    return value !== undefined && value !== null && !(Array.isArray(value) && value.length === 0);
  };
  const kinds = reader.objects("hooks", (hook) => hook.text("hookName"));
  const types = reader.objects("mounts", (mount) => mount.text("type", "bind"));
  const options = mounts.flatMap((mount) => mount.options.filter((one) => !CDI_MOUNT_OPTIONS.includes(one)));
  return [
    ...["intelRdt", "netDevices"].filter(isThere),
    ...kinds.filter((kind) => kind !== HOOK_KIND).map((kind) => `${kind} hooks`),
    ...types.filter((type) => !["", "bind", "none"].includes(type)).map((type) => `mounts of type ${type}`),
    ...options.map((option) => `the mount option ${option}`),
  ];
}

function editsOf(value: unknown, path: string): CdiEdits {
  const reader = readerOf(value ?? {}, path);
  const mounts = reader.objects("mounts", mountOf);
  return {
    env: reader.words("env"),
    nodes: reader.objects("deviceNodes", nodeOf),
    mounts,
    gids: reader.list("additionalGids", (gid, at) => {
      if (typeof gid !== "number" || !Number.isSafeInteger(gid) || gid < 0) throw invalid(`${at} must be a number`);
      return gid;
    }),
    hooks: reader.objects("hooks", hookOf),
    impossible: impossibleIn(reader, mounts),
  };
}

/** @param document  of a file, parsed. @throws invalid, telling what is wrong with it */
export function toCdiSpec(document: unknown): CdiSpec {
  const reader = readerOf(document, "");
  reader.text("cdiVersion");
  const kind = reader.text("kind");
  if (!KIND.test(kind)) reader.wrong("kind", "as vendor.com/class");
  const devices = new Map<string, CdiEdits>();
  reader.objects("devices", (device) => {
    const name = device.text("name");
    if (!DEVICE.test(name)) device.wrong("name", "a device's name");
    if (devices.has(name)) device.wrong("name", "another than those before");
    devices.set(name, editsOf(device.fields.containerEdits, `${device.path}containerEdits`));
  });
  return { kind, edits: editsOf(reader.fields.containerEdits, "containerEdits"), devices };
}
