/** What a packer puts out for the entry that its path names: a tar's headers and whiteouts, or a line in a list of changes. */

import { isDirectory } from "./diff";
import * as fault from "./fault";
import { known, note } from "./links";
import { alloc, keep } from "./memory";
import * as out from "./tar-item";
import { padding } from "./tar-header";
import { headerRoom, putEnd, putHeader, putMark } from "./tar-write";
import { S_IFBLK, S_IFCHR, S_IFIFO, S_IFLNK, S_IFMT, S_IFREG } from "./tree";
import { Record, targetOf } from "./walk-record";

/** What is put out. */
export const TREE: u32 = 0; // tar of everything
export const LAYER: u32 = 1; // tar of what differs from the base
export const CHANGES: u32 = 2; // list of what differs from the base

export const ADDED: u32 = 1;
export const MODIFIED: u32 = 2;
export const DELETED: u32 = 3;

export const PATH_BYTES: u32 = 4096;

export let mode: u32 = TREE;
/** The present entry's path in the tree. Others may change it; there is room for one name more. */
export let path: usize = 0;
export let pathLength: u32 = 0;
/** What the first component is called in the tar, if not as in the tree; and the path that says so. */
let rename: usize = 0;
let renameBytes: u32 = 0;
let renamed: usize = 0;

/** Of the tar put out so far. */
export let tarBytes: u64 = 0;
export let entries: u32 = 0;

/** Most bytes that `start` takes. */
export const START_BYTES: u32 = 4 * PATH_BYTES;

/** @param name  what the first component is called in the tar; none: as it is. Its bytes are copied; their room must have been reserved. */
export function start(what: u32, name: usize, nameBytes: u32): void {
  mode = what;
  path = alloc(PATH_BYTES + 256);
  renamed = alloc(2 * PATH_BYTES);
  rename = keep(name, nameBytes);
  renameBytes = nameBytes;
}

export function setPathLength(length: u32): void {
  pathLength = length;
}

/** @returns where the path's last name starts */
export function lastName(): u32 {
  let at = pathLength;
  while (at > 0 && load<u8>(path + at - 1) != 0x2f) at--;
  return at;
}

/** Tells that the path is there. @returns a fault or NONE */
export function tell(record: Record, kind: u32): i32 {
  return mode == CHANGES ? change(kind) : putEntry(record);
}

/** Tells that what the base has there is gone. @returns a fault or NONE */
export function tellGone(): i32 {
  return mode == CHANGES ? change(DELETED) : whiteout(lastName());
}

function change(kind: u32): i32 {
  if (!out.ensure(64 + pathLength)) return fault.OUT_OF_MEMORY;
  out.putChange(kind, path, pathLength);
  return fault.NONE;
}

/** The tar's end. @returns a fault or NONE */
export function tellEnd(): i32 {
  if (mode == CHANGES) return fault.NONE;
  if (!out.ensure(out.ITEM_HEAD + 2048)) return fault.OUT_OF_MEMORY;
  out.beginItem(0, 0, 0, 0);
  putEnd();
  out.endItem();
  tarBytes += 1024;
  return fault.NONE;
}

const WH: u32 = 0x2e68772e; // ".wh."
const OPQ: usize = memory.data<u8>([
  0x2f, 0x2e, 0x77, 0x68, 0x2e, 0x2e, 0x77, 0x68, 0x2e, 0x2e, 0x6f, 0x70, 0x71, // /.wh..wh..opq
]);

/** `.wh.NAME`, for the name that starts at `at` in the path. */
function whiteout(at: u32): i32 {
  memory.copy(renamed, path, at);
  store<u32>(renamed + at, WH);
  memory.copy(renamed + at + 4, path + at, pathLength - at);
  return putMarkItem(pathLength + 4);
}

/** Tells that the directory hides what the base has below it. @returns a fault or NONE */
export function tellOpaque(): i32 {
  memory.copy(renamed, path, pathLength);
  memory.copy(renamed + pathLength, OPQ, 13);
  return putMarkItem(pathLength + 13);
}

function putMarkItem(length: u32): i32 {
  if (length >= PATH_BYTES) return fault.PATH_TOO_LONG;
  if (!out.ensure(out.ITEM_HEAD + 8192 + 4 * length)) return fault.OUT_OF_MEMORY;
  out.beginItem(0, 0, 0, 0);
  const headAt = out.used;
  if (!putMark(renamed, length)) return fault.OUT_OF_MEMORY;
  count(headAt, 0);
  return fault.NONE;
}

function count(headAt: u32, size: u64): void {
  out.endItem();
  tarBytes += out.used - headAt + size + padding(size);
  entries++;
}

let tarPathLength: u32 = 0;

/** The present path as the tar has it: renamed, and with a slash at the end when `slash` is 1. */
function tarPath(slash: u32): usize {
  let from = path;
  tarPathLength = pathLength;
  if (renameBytes > 0) {
    let first: u32 = 0;
    while (first < pathLength && load<u8>(path + first) != 0x2f) first++;
    // of a name that ends with a slash, as the root's, that is the one before the next component
    const own = renameBytes - (load<u8>(rename + renameBytes - 1) == 0x2f ? 1 : 0);
    memory.copy(renamed, rename, own);
    memory.copy(renamed + own, path + first, pathLength - first);
    tarPathLength = own + pathLength - first;
    from = renamed;
  }
  if (slash) store<u8>(from + tarPathLength++, 0x2f);
  return from;
}

function typeOf(kind: u32): u8 {
  if (kind == S_IFREG) return 0x30;
  if (kind == S_IFLNK) return 0x32;
  if (kind == S_IFCHR) return 0x33;
  if (kind == S_IFBLK) return 0x34;
  return kind == S_IFIFO ? 0x36 : 0x35;
}

/** The header of what the path names, and where its contents are. */
function putEntry(record: Record): i32 {
  if (mode == LAYER && isWhiteoutName()) return fault.RESERVED_NAME;
  const directory = isDirectory(record);
  const name = tarPath(directory ? 1 : 0);
  const isLinked = !directory && record.links > 1;
  const first = isLinked ? known(record) : null;
  if (isLinked && !first && !note(record, name, tarPathLength)) return fault.OUT_OF_MEMORY;
  const link = first ? first.path : targetOf(record);
  const linkLength = first ? first.length : record.targetBytes;
  const kind = record.mode & S_IFMT;
  const size: u64 = kind == S_IFREG && !first ? record.size : 0;
  if (!out.ensure(out.ITEM_HEAD + 16 + pathLength + headerRoom(record, tarPathLength, linkLength))) return fault.OUT_OF_MEMORY;
  out.beginItem(size, record.inode, path, pathLength);
  const headAt = out.used;
  if (!putHeader(first ? 0x31 : typeOf(kind), name, tarPathLength, record, link, linkLength, size)) return fault.OUT_OF_MEMORY;
  count(headAt, size);
  return fault.NONE;
}

function isWhiteoutName(): bool {
  const at = lastName();
  return pathLength - at >= 4 && load<u32>(path + at) == WH;
}
