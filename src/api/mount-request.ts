/**
 * What a container's creation says of mounts: HostConfig's Binds, Mounts, Tmpfs, VolumesFrom and VolumeDriver → the container room's own types.
 * Source: Docker Engine API 1.50, HostConfig and Mount; docs.docker.com, "Volumes", "Bind mounts".
 */

import { posix } from "node:path";
import { invalid, notImplemented } from "../base/errors.ts";
import { type Bind, isPropagation, type Propagation } from "../container/config.ts";
import { type IdMaps, parseIdMaps } from "../container/id-maps.ts";
import type { ImageMountRequest } from "../container/image-mounts.ts";
import type { VolumeMount } from "../container/mounts.ts";
import { checkVolumeName } from "../volume/volumes.ts";
import type { Document } from "./document.ts";
import { isBlank } from "./document.ts";

/** The part of HostConfig that is about mounts. */
export interface MountRequest {
  readonly binds: readonly Bind[];
  readonly bindSpecs: readonly string[];
  readonly mountSpecs: readonly unknown[];
  readonly tmpfs: Readonly<Record<string, string>>;
  readonly volumes: readonly VolumeMount[];
  readonly images: readonly ImageMountRequest[];
  readonly volumesFrom: readonly string[];
  readonly volumeDriver: string;
}

type Parsed =
  | { readonly type: "bind"; readonly bind: Bind }
  | { readonly type: "volume"; readonly volume: VolumeMount }
  | { readonly type: "image"; readonly image: ImageMountRequest }
  | { readonly type: "tmpfs"; readonly target: string; readonly options: string };

export function checkTarget(spec: string, target: string): string {
  if (!target.startsWith("/"))
    throw invalid(
      `invalid volume specification: '${spec}': invalid mount config for type "volume": invalid mount path: '${target}' mount path must be absolute`,
    );
  const path = posix.normalize(target).replace(/(.)\/$/, "$1");
  if (path === "/")
    throw invalid(
      `invalid volume specification: '${spec}': invalid mount config for type "bind": invalid specification: destination can't be '/'`,
    );
  return path;
}

interface BindMode {
  readonly readonly: boolean;
  readonly propagation: Propagation | undefined;
  readonly copy: boolean;
  readonly idMaps: IdMaps | undefined;
}

/** What other systems, or labels that this host lacks, would make a difference to. */
const MEANINGLESS = ["rw", "z", "Z", "consistent", "cached", "delegated"];

/** `ro,rslave` of a `-v`. Each kind of option is given once at most. @throws invalid */
function parseMode(text: string): BindMode {
  let mode: BindMode = { readonly: false, propagation: undefined, copy: true, idMaps: undefined };
  for (const option of text === "" ? [] : text.split(",")) {
    if (option === "ro") mode = { ...mode, readonly: true };
    else if (option === "nocopy") mode = { ...mode, copy: false };
    else if (/^idmap(=|$)/.test(option) && mode.idMaps === undefined)
      mode = { ...mode, idMaps: parseIdMaps(option.slice("idmap=".length)) };
    else if (isPropagation(option) && mode.propagation === undefined) mode = { ...mode, propagation: option };
    else if (!MEANINGLESS.includes(option)) throw invalid(`invalid mode: ${text}`);
  }
  return mode;
}

/** `/source:/target[:mode]`, `name:/target[:mode]` or `/target`. */
export function parseBind(spec: string, driver = ""): Parsed {
  const parts = spec.split(":");
  if (parts.length > 3 || parts.includes("")) throw invalid(`invalid volume specification: '${spec}'`);
  const [source, path = source ?? "", text = ""] = parts.length === 1 ? [undefined, ...parts] : parts;
  const target = checkTarget(spec, path);
  const { readonly, propagation, copy, idMaps } = parseMode(text);
  if (source?.startsWith("/")) {
    if (!copy) throw invalid(`invalid mode: ${text}`);
    const bind = { source, target, readonly, propagation: propagation ?? "rprivate", createSource: true } as const;
    return { type: "bind", bind: { ...bind, nonRecursive: false, ...(idMaps && { idMaps }) } };
  }
  if (source !== undefined) checkVolumeName(source);
  if (propagation !== undefined) throw invalid(`invalid mode: ${text}: a volume has no propagation`);
  if (idMaps !== undefined) throw invalid(`invalid mode: ${text}: a volume has no id mapping`);
  const mode = text || (source === undefined ? "" : "z"); // as Docker shows it
  return { type: "volume", volume: { ...NO_OPTIONS, name: source, target, readonly, copy, mode, driver } };
}

const NO_OPTIONS = { subpath: "", options: {}, labels: {} } as const;

const OPTIONS_OF = {
  bind: "BindOptions",
  volume: "VolumeOptions",
  tmpfs: "TmpfsOptions",
  image: "ImageOptions",
} as const;
type MountType = keyof typeof OPTIONS_OF;
const isMountType = (type: string): type is MountType => Object.hasOwn(OPTIONS_OF, type);

function parseMount(mount: Document): Parsed {
  const type = mount.text("Type");
  if (type === "npipe" || type === "cluster") throw notImplemented(`mount type '${type}' is not supported yet`);
  if (!isMountType(type)) throw invalid(`invalid mount config for type "${type}": mount type unknown`);
  const wrong = (why: string) => invalid(`invalid mount config for type "${type}": ${why}`);
  for (const [other, name] of Object.entries(OPTIONS_OF))
    if (other !== type && !isBlank(mount.get(name))) throw wrong(`field ${name} must not be specified`);
  const given = mount.text("Target");
  if (given === "") throw wrong("field Target must not be empty");
  const target = checkTarget(given, given);
  const options = mount.document(OPTIONS_OF[type]);
  if (type === "bind") return { type, bind: bindOf(mount, target, options, wrong) };
  if (type === "image") return { type, image: imageOf(mount, target, options, wrong) };
  if (type === "volume") return { type, volume: volumeOf(mount, target, options, wrong) };
  if (mount.text("Source") !== "") throw wrong("field Source must not be specified");
  return { type, target, options: tmpfsOptions(mount.flag("ReadOnly"), options) };
}

type Wrong = (why: string) => Error;

function bindOf(mount: Document, target: string, options: Document, wrong: Wrong): Bind {
  const source = mount.text("Source");
  if (source === "") throw wrong("field Source must not be empty");
  if (!source.startsWith("/")) throw wrong(`invalid mount path: '${source}' mount path must be absolute`);
  const propagation = options.text("Propagation") || "rprivate";
  if (!isPropagation(propagation)) throw wrong(`invalid propagation mode: ${propagation}`);
  const [readonly, shallow] = [mount.flag("ReadOnly"), options.flag("ReadOnlyNonRecursive")];
  const force = options.flag("ReadOnlyForceRecursive");
  if ((shallow || force) && !readonly)
    throw wrong("ReadOnlyNonRecursive and ReadOnlyForceRecursive need the mount to be read-only");
  if (force && (shallow || !propagation.endsWith("private")))
    throw wrong("ReadOnlyForceRecursive needs private propagation, and contradicts ReadOnlyNonRecursive");
  return {
    source,
    target,
    readonly,
    propagation,
    createSource: options.flag("CreateMountpoint"),
    nonRecursive: options.flag("NonRecursive"),
    ...(shallow && { readonlyShallow: true }),
    ...(options.has("IDMap") && { idMaps: parseIdMaps(options.text("IDMap")) }),
  };
}

function checkSubpath(subpath: string, what: string, wrong: Wrong): void {
  if (subpath.startsWith("/") || subpath.split("/").includes(".."))
    throw wrong(`subpath must be a relative path within the ${what}`);
}

function imageOf(mount: Document, target: string, options: Document, wrong: Wrong): ImageMountRequest {
  const image = mount.text("Source");
  if (image === "") throw wrong("field Source must not be empty");
  const subpath = options.text("Subpath");
  checkSubpath(subpath, "image", wrong);
  return { image, target, subpath };
}

function volumeOf(mount: Document, target: string, options: Document, wrong: Wrong): VolumeMount {
  const name = mount.text("Source") || undefined;
  const readonly = mount.flag("ReadOnly");
  const subpath = options.text("Subpath");
  if (name !== undefined) checkVolumeName(name);
  else if (readonly) throw wrong("must not set ReadOnly mode when using anonymous volumes");
  else if (subpath !== "") throw wrong("must not set Subpath when using anonymous volumes");
  checkSubpath(subpath, "volume", wrong);
  const driver = options.document("DriverConfig");
  return {
    name,
    target,
    readonly,
    copy: !options.flag("NoCopy") && subpath === "",
    subpath,
    driver: driver.text("Name"),
    options: driver.texts("Options"),
    labels: options.texts("Labels"),
    mode: "z",
  };
}

/** `[["noexec"], ["size", "1m"]]`, as of the API 1.46. */
function tmpfsWords(given: unknown): readonly string[] {
  const list: unknown[] = Array.isArray(given) ? given : [];
  return list.map((pair) => {
    const words: unknown[] = Array.isArray(pair) ? pair : [];
    if (words.length < 1 || words.length > 2 || !words.every((word) => typeof word === "string"))
      throw invalid('invalid mount config for type "tmpfs": Options must be a list of [key] and [key, value]');
    const text = words.join("=");
    if (/[,\0]/.test(text)) throw invalid(`invalid mount config for type "tmpfs": invalid option ${text}`);
    return text;
  });
}

function tmpfsOptions(readonly: boolean, options: Document): string {
  const size = options.number("SizeBytes");
  if (size < 0) throw invalid(`invalid mount config for type "tmpfs": invalid size ${size}`);
  return [
    ...(readonly ? ["ro"] : []),
    ...(size > 0 ? [`size=${size}`] : []),
    ...(options.has("Mode") ? [`mode=${options.number("Mode").toString(8)}`] : []),
    ...tmpfsWords(options.get("Options")),
  ].join(",");
}

function checkTargets(targets: readonly string[]): void {
  const seen = new Set<string>();
  for (const target of targets) {
    if (seen.has(target)) throw invalid(`Duplicate mount point: ${target}`);
    seen.add(target);
  }
}

function targetOf(parsed: Parsed): string {
  switch (parsed.type) {
    case "bind":
      return parsed.bind.target;
    case "volume":
      return parsed.volume.target;
    case "image":
      return parsed.image.target;
    case "tmpfs":
      return parsed.target;
  }
}

/** @param host  the body's HostConfig. @throws invalid, notImplemented */
export function toMounts(host: Document): MountRequest {
  const volumeDriver = host.text("VolumeDriver");
  const bindSpecs = host.words("Binds") ?? [];
  const mountSpecs = host.get("Mounts");
  const parsed = [
    ...bindSpecs.map((spec) => parseBind(spec, volumeDriver)),
    ...host.documents("Mounts").map(parseMount),
  ];
  const tmpfs = host.texts("Tmpfs");
  checkTargets([...parsed.map(targetOf), ...Object.keys(tmpfs)]);
  return {
    binds: parsed.flatMap((one) => (one.type === "bind" ? [one.bind] : [])),
    volumes: parsed.flatMap((one) => (one.type === "volume" ? [one.volume] : [])),
    images: parsed.flatMap((one) => (one.type === "image" ? [one.image] : [])),
    tmpfs: {
      ...tmpfs,
      ...Object.fromEntries(parsed.flatMap((one) => (one.type === "tmpfs" ? [[one.target, one.options]] : []))),
    },
    bindSpecs,
    mountSpecs: Array.isArray(mountSpecs) ? mountSpecs : [],
    volumesFrom: host.words("VolumesFrom") ?? [],
    volumeDriver,
  };
}
