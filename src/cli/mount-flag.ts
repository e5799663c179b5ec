/** `--mount type=volume,source=data,target=/data,readonly` → the API's Mount. Source: docs.docker.com, `docker run --mount`. */

import { UsageError } from "./flags.ts";
import { pairs } from "./pairs.ts";

/** The parts of a Mount. */
interface Parts {
  readonly mount?: Readonly<Record<string, unknown>>;
  readonly bind?: Readonly<Record<string, unknown>>;
  readonly volume?: Readonly<Record<string, unknown>>;
  readonly tmpfs?: Readonly<Record<string, unknown>>;
  readonly image?: Readonly<Record<string, unknown>>;
  readonly driver?: Readonly<Record<string, unknown>>;
  readonly options?: Readonly<Record<string, unknown>>;
  readonly labels?: Readonly<Record<string, unknown>>;
}

/** What is said last of a field holds. */
const merged = (one: Parts, other: Parts): Parts => ({
  mount: { ...one.mount, ...other.mount },
  bind: { ...one.bind, ...other.bind },
  volume: { ...one.volume, ...other.volume },
  tmpfs: { ...one.tmpfs, ...other.tmpfs },
  image: { ...one.image, ...other.image },
  driver: { ...one.driver, ...other.driver },
  options: { ...one.options, ...other.options },
  labels: { ...one.labels, ...other.labels },
});

/** Fields of a line of comma-separated values; in quotes, commas and doubled quotes are meant. */
export function fieldsOf(line: string): readonly string[] {
  return [...line.matchAll(/(?:^|,)(?:"((?:[^"]|"")*)"|([^,]*))/g)].map(([, quoted, plain = ""]) =>
    quoted === undefined ? plain : quoted.replaceAll('""', '"'),
  );
}

const wrong = (field: string, why: string): UsageError =>
  new UsageError(`invalid argument "${field}" for "--mount" flag: ${why}`);

function flagOf(key: string, value: string | undefined): boolean {
  if (value === undefined || /^(1|t|true)$/i.test(value)) return true;
  if (/^(0|f|false)$/i.test(value)) return false;
  throw wrong(`${key}=${value}`, `invalid value for ${key}: ${value}`);
}

const SIZES: Readonly<Record<string, number>> = { "": 0, b: 0, k: 10, m: 20, g: 30, t: 40 };

function sizeOf(value: string): number {
  const [, digits, unit = ""] = /^(\d+(?:\.\d+)?)([bkmgt]?)i?b?$/i.exec(value) ?? [];
  if (digits === undefined) throw wrong(`tmpfs-size=${value}`, `invalid value for tmpfs-size: ${value}`);
  return Math.floor(Number(digits) * 2 ** (SIZES[unit.toLowerCase()] ?? 0));
}

const VALUES: Readonly<Record<string, (value: string) => Parts>> = {
  type: (value) => ({ mount: { Type: value.toLowerCase() } }),
  source: (value) => ({ mount: { Source: value } }),
  target: (value) => ({ mount: { Target: value } }),
  "bind-propagation": (value) => ({ bind: { Propagation: value.toLowerCase() } }),
  idmap: (value) => ({ bind: { IDMap: value } }),
  "bind-recursive": (value) => ({ bind: recursion(value) }),
  "volume-driver": (value) => ({ driver: { Name: value } }),
  "volume-opt": (value) => ({ options: pairs([value]) }),
  "volume-label": (value) => ({ labels: pairs([value]) }),
  "volume-subpath": (value) => ({ volume: { Subpath: value } }),
  "image-subpath": (value) => ({ image: { Subpath: value } }),
  "tmpfs-size": (value) => ({ tmpfs: { SizeBytes: sizeOf(value) } }),
  "tmpfs-mode": (value) => ({ tmpfs: { Mode: modeOf(value) } }),
};

const FLAGS: Readonly<Record<string, (value: boolean) => Parts>> = {
  readonly: (value) => ({ mount: value ? { ReadOnly: true } : {} }),
  "volume-nocopy": (value) => ({ volume: { NoCopy: value } }),
  "bind-nonrecursive": (value) => ({ bind: { NonRecursive: value } }),
  "bind-create-src": (value) => ({ bind: { CreateMountpoint: value } }),
};

const OTHER_NAMES: Readonly<Record<string, string>> = {
  src: "source",
  dst: "target",
  destination: "target",
  ro: "readonly",
};

function recursion(value: string): Readonly<Record<string, unknown>> {
  if (value === "enabled") return {};
  if (value === "disabled") return { NonRecursive: true };
  if (value === "writable") return { ReadOnlyNonRecursive: true };
  if (value === "readonly") return { ReadOnlyForceRecursive: true };
  throw wrong(`bind-recursive=${value}`, "invalid value: want enabled, disabled, writable or readonly");
}

function modeOf(value: string): number {
  if (!/^[0-7]{1,5}$/.test(value)) throw wrong(`tmpfs-mode=${value}`, `invalid value for tmpfs-mode: ${value}`);
  return Number.parseInt(value, 8);
}

function partsOf(field: string): Parts {
  const at = field.indexOf("=");
  const given = (at < 0 ? field : field.slice(0, at)).toLowerCase();
  const value = at < 0 ? undefined : field.slice(at + 1);
  const key = OTHER_NAMES[given] ?? given;
  const flag = Object.hasOwn(FLAGS, key) ? FLAGS[key] : undefined;
  if (flag) return flag(flagOf(key, value));
  const read = Object.hasOwn(VALUES, key) ? VALUES[key] : undefined;
  if (read && value !== undefined) return read(value);
  throw wrong(field, read ? `invalid field '${field}' must be a key=value pair` : `unexpected key '${given}'`);
}

const filled = (name: string, options: Readonly<Record<string, unknown>> = {}): object =>
  Object.keys(options).length > 0 ? { [name]: options } : {};

/** @returns the API's Mount. @throws UsageError */
export function parseMountFlag(line: string): object {
  const parts = fieldsOf(line)
    .map(partsOf)
    .reduce(merged, { mount: { Type: "volume" } });
  const { mount, bind, volume, tmpfs, image, driver, options, labels } = parts;
  if (mount?.Target === undefined) throw wrong(line, "target is required");
  const driverConfig = { ...driver, ...filled("Options", options) };
  const volumeOptions = { ...volume, ...filled("Labels", labels), ...filled("DriverConfig", driverConfig) };
  return {
    ...mount,
    ...filled("BindOptions", bind),
    ...filled("VolumeOptions", volumeOptions),
    ...filled("TmpfsOptions", tmpfs),
    ...filled("ImageOptions", image),
  };
}
