/** The words of a mount's `options`. Pure. Source: runtime-spec config.md, "Linux mount options". */

import { invalid, notImplemented } from "../base/errors.ts";
import { type FlagEffect, MOUNT_FLAGS } from "../runtime/mount-flags.ts";
import { MS } from "../runtime/ops.ts";

const FLAGS: Readonly<Record<string, FlagEffect>> = {
  ...MOUNT_FLAGS,
  // what is so anyway, or that the kernel has given up (mandatory locks, 5.15)
  defaults: {},
  loud: {},
  silent: {},
  nomand: {},
  idmap: {}, // which the mappings say
};

const PROPAGATION: Readonly<Record<string, number>> = {
  private: MS.private,
  slave: MS.slave,
  shared: MS.shared,
  unbindable: MS.unbindable,
};

/** Those that are set for all mounts below as well: `rro`, `rnosuid`, … */
const RECURSIVE = new Set(
  "ro rw nosuid suid nodev dev noexec exec nosymfollow symfollow noatime atime nodiratime diratime relatime norelatime strictatime nostrictatime"
    .split(" ")
    .map((name) => `r${name}`),
);

const REFUSED = new Set(["mand", "iversion", "noiversion", "ridmap"]);

export interface Propagation {
  /** One of MS. */
  readonly flag: number;
  readonly deep: boolean;
}

export interface MountOptions {
  readonly bind: boolean;
  /** With the mounts below the source. */
  readonly deep: boolean;
  readonly remount: boolean;
  /** Of MS; of those that contradict each other the last one counts. */
  readonly set: number;
  readonly clear: number;
  readonly deepSet: number;
  readonly deepClear: number;
  readonly propagation: readonly Propagation[];
  /** The directory's content comes along. */
  readonly copyUp: boolean;
  /** The file system's own options. */
  readonly data: readonly string[];
}

const NONE: MountOptions = {
  bind: false,
  deep: false,
  remount: false,
  set: 0,
  clear: 0,
  deepSet: 0,
  deepClear: 0,
  propagation: [],
  copyUp: false,
  data: [],
};

const withEffect = (
  [set, clear]: readonly [number, number],
  { set: more = 0, clear: less = 0 }: FlagEffect,
): [set: number, clear: number] => [(set & ~less) | more, (clear & ~more) | less];

/** A word that decides more than flags. @returns undefined for others */
function wordOf(options: MountOptions, word: string): MountOptions | undefined {
  if (word === "bind") return { ...options, bind: true };
  if (word === "rbind") return { ...options, bind: true, deep: true };
  if (word === "remount") return { ...options, remount: true };
  if (word === "tmpcopyup") return { ...options, copyUp: true };
  const shallow = PROPAGATION[word];
  if (shallow !== undefined)
    return { ...options, propagation: [...options.propagation, { flag: shallow, deep: false }] };
  const deep = word.startsWith("r") ? PROPAGATION[word.slice(1)] : undefined;
  return deep === undefined
    ? undefined
    : { ...options, propagation: [...options.propagation, { flag: deep, deep: true }] };
}

function withWord(options: MountOptions, word: string): MountOptions {
  if (REFUSED.has(word)) throw notImplemented(`mount option ${word} is not supported`);
  const special = wordOf(options, word);
  if (special !== undefined) return special;
  const effect = FLAGS[word];
  if (effect !== undefined) {
    const [set, clear] = withEffect([options.set, options.clear], effect);
    return { ...options, set, clear };
  }
  if (!RECURSIVE.has(word)) return { ...options, data: [...options.data, word] };
  const [deepSet, deepClear] = withEffect([options.deepSet, options.deepClear], FLAGS[word.slice(1)] ?? {});
  return { ...options, deepSet, deepClear };
}

/** @throws notImplemented for what the kernel or the shim lacks, invalid */
export function parseMountOptions(words: readonly string[]): MountOptions {
  const options = words.filter((word) => word !== "").reduce(withWord, NONE);
  if (options.data.some((word) => word.includes(",")))
    throw invalid(`invalid mount options ${JSON.stringify(options.data)}: want one option each`);
  return options;
}

const ROOT_PROPAGATION: Readonly<Record<string, Propagation>> = {
  "": { flag: MS.slave, deep: true },
  ...Object.fromEntries(
    Object.entries(PROPAGATION).flatMap(([name, flag]) => [
      [name, { flag, deep: false }],
      [`r${name}`, { flag, deep: true }],
    ]),
  ),
};

/** @param word  `linux.rootfsPropagation`. @throws invalid */
export function parseRootPropagation(word: string): Propagation {
  const found = ROOT_PROPAGATION[word];
  if (found === undefined) throw invalid(`invalid rootfsPropagation ${JSON.stringify(word)}`);
  return found;
}
