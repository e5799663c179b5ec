/**
 * A walked tree, packed: as a tar of all of it, as the tar of a layer that says how it differs from its base, or as a list of the changes.
 *
 * What differs is told in the walk's order. A directory that is itself unchanged waits: it is put out just before the first change below it, or
 * never. So the directories that wait are always the innermost ones of the present path, and are kept in a stack of records.
 * Source of the whiteouts' names: OCI image-spec v1.1, layer.md, "Whiteouts". A layer's own order is free.
 */

import { isDirectory, sameAttributes, sameLeaf } from "./diff";
import * as fault from "./fault";
import { INPUT, alloc, keep, reserve, same } from "./memory";
import * as put from "./pack-put";
import { ADDED, CHANGES, LAYER, MODIFIED, PATH_BYTES, TREE, mode, path, pathLength, setPathLength } from "./pack-put";
import * as out from "./tar-item";
import { S_IFBLK, S_IFCHR, S_IFIFO, S_IFLNK, S_IFMT, S_IFREG } from "./tree";
import { ALONE, ENTER, LEAF, LEAVE, OLD, OPAQUE, Record, hasWholeXattrs, isWhole, nameOf } from "./walk-record";

const LEVELS: u32 = 2049;
const NOT_WAITING: u32 = 0xffffffff;

/** A directory on the present path. */
@unmanaged
class Level {
  /** Length of the parent's path. */
  before: u32;
  /** Its record's place in the stack of those that wait; where it is put out already, NOT_WAITING. */
  waits: u32;
  kind: u32;
  /** What the base has below is hidden, by this directory or one above. */
  hides: bool;
}

let whole: bool = false;
let fails: i32 = fault.NONE;
let old: Record | null = null;
let levels: usize = 0;
let depth: u32 = 0;
let stack: usize = 0;
let stackUsed: u32 = 0;
let stackRoom: u32 = 0;
/** Paths that count as nothing, each ended by NUL. */
let excepted: usize = 0;
let exceptedBytes: u32 = 0;

/**
 * @param what         TREE, LAYER or CHANGES
 * @param isWholeTree  the walk is of a complete tree, not of an overlay's upper directory: files that are as in the base are left out
 * @param except       bytes at INPUT: paths without a leading slash, each ended by NUL. They count as nothing where the base has nothing and
 *                     they are empty: mount points. So do directories that hold nothing else
 * @param name         bytes after those: what the first component is called in the tar; 0: as it is
 * @returns            a fault or NONE
 */
export function begin(what: u32, isWholeTree: bool, except: u32, name: u32): i32 {
  if (name > 255 || !reserve(put.START_BYTES + LEVELS * offsetof<Level>() + except + name)) return fault.OUT_OF_MEMORY;
  put.start(what, INPUT + except, name);
  whole = isWholeTree;
  levels = alloc(LEVELS * offsetof<Level>());
  excepted = keep(INPUT, except);
  exceptedBytes = except;
  return fault.NONE;
}

/** Takes records: whole ones. What they come to is in tar-item's output, until the next call. @returns a fault or NONE */
export function write(at: usize, length: u32): i32 {
  out.empty();
  old = null;
  for (const end = at + length; at < end && fails == fault.NONE; ) {
    const record = changetype<Record>(at);
    if (!isWhole(record, <u32>(end - at)) || !hasWholeXattrs(record)) fails = fault.BAD_RECORD;
    else fails = take(record);
    at += record.bytes;
  }
  return fails;
}

/** The walk has ended. @returns a fault or NONE */
export function finish(): i32 {
  out.empty();
  if (fails == fault.NONE && depth > 0) fails = fault.BAD_RECORD;
  return fails == fault.NONE ? put.tellEnd() : fails;
}

// @ts-ignore: decorator
@inline
function level(number: u32): Level {
  return changetype<Level>(levels + number * offsetof<Level>());
}

function take(record: Record): i32 {
  const kind: u32 = record.kind;
  if (kind == LEAVE) return leave();
  const before = pathLength;
  if (!push(record)) return fault.PATH_TOO_LONG;
  let result = fault.NONE;
  if (kind == ENTER) return enter(record, before);
  if (kind == LEAF) result = leaf(record);
  else if (kind != OLD) return fault.BAD_RECORD;
  else if (record.flags & ALONE) result = gone();
  else old = record;
  if (result == fault.NONE) setPathLength(before);
  return result;
}

/** Adds a name to the path. */
function push(record: Record): bool {
  const at = pathLength + (pathLength > 0 ? 1 : 0);
  if (at + record.nameBytes >= PATH_BYTES) return false;
  if (pathLength > 0) store<u8>(path + pathLength, 0x2f);
  memory.copy(path + at, nameOf(record), record.nameBytes);
  setPathLength(at + record.nameBytes);
  return true;
}

/** @returns what the base has under the record's name, which is told once. */
function takeOld(record: Record): Record | null {
  const found = old;
  old = null;
  if (!found || !same(nameOf(found), found.nameBytes, nameOf(record), record.nameBytes)) return null;
  return found;
}

function enter(record: Record, before: u32): i32 {
  if (depth == LEVELS) return fault.PATH_TOO_LONG;
  const base = takeOld(record);
  const here = level(depth++);
  const hidden = depth > 1 && level(depth - 2).hides;
  const hides = base != null && isDirectory(base) && (record.flags & OPAQUE) != 0;
  here.before = before;
  here.waits = NOT_WAITING;
  here.kind = base ? MODIFIED : ADDED;
  here.hides = hidden || hides;
  if (depth == 1) return fault.NONE; // the root is not told of
  if (mode == TREE || !mayWait(record, base, hidden, hides)) return emit(record, here.kind, hides && !hidden);
  here.waits = stackUsed;
  return keepWaiting(record);
}

/** Below what hides its base, a layer has to say everything again. */
function mayWait(record: Record, base: Record | null, hidden: bool, hides: bool): bool {
  if (mode == LAYER && (hidden || hides)) return false;
  return base ? isDirectory(base) && sameAttributes(record, base) : isExcepted(true);
}

function keepWaiting(record: Record): i32 {
  if (stackUsed + record.bytes > stackRoom) {
    const wanted = 2 * (stackUsed + record.bytes) + 0x4000;
    if (!reserve(wanted)) return fault.OUT_OF_MEMORY;
    const wider = alloc(wanted);
    memory.copy(wider, stack, stackUsed);
    stack = wider;
    stackRoom = wanted;
  }
  memory.copy(stack + stackUsed, changetype<usize>(record), record.bytes);
  stackUsed += record.bytes;
  return fault.NONE;
}

function leave(): i32 {
  if (depth == 0) return fault.BAD_RECORD;
  const here = level(--depth);
  if (here.waits != NOT_WAITING) stackUsed = here.waits;
  setPathLength(here.before);
  return fault.NONE;
}

function leaf(record: Record): i32 {
  const base = takeOld(record);
  const kind = record.mode & S_IFMT;
  if (kind == S_IFCHR && record.rdevMajor == 0 && record.rdevMinor == 0) return base ? gone() : fault.NONE;
  if (kind != S_IFREG && kind != S_IFLNK && kind != S_IFCHR && kind != S_IFBLK && kind != S_IFIFO) return fault.NONE; // a socket
  if (base && mode != TREE && (whole || mode == CHANGES) && sameLeaf(record, base)) return fault.NONE;
  if (!base && mode != TREE && kind == S_IFREG && record.size == 0 && isExcepted(false)) return fault.NONE;
  return emit(record, base ? MODIFIED : ADDED, false);
}

/** @returns whether the path is excepted, or, as a parent, leads to one that is */
function isExcepted(asParent: bool): bool {
  for (let at = excepted, end = excepted + exceptedBytes; at < end; ) {
    let length: u32 = 0;
    while (load<u8>(at + length)) length++;
    const fits = length == pathLength || (asParent && length > pathLength && load<u8>(at + pathLength) == 0x2f);
    if (fits && memory.compare(at, path, pathLength) == 0) return true;
    at += length + 1;
  }
  return false;
}

/** What the base has is no longer there. */
function gone(): i32 {
  const hidden = level(depth - 1).hides;
  if (mode == TREE || (mode == LAYER && hidden)) return fault.NONE;
  const result = release();
  if (result != fault.NONE) return result;
  return put.tellGone();
}

/** Puts out the directories that wait, from the outermost on. The path is the present entry's, whose parents they are. */
function release(): i32 {
  if (stackUsed == 0) return fault.NONE;
  const full = pathLength;
  const parent = lengthOfParent();
  let first = depth;
  while (first > 0 && level(first - 1).waits != NOT_WAITING) first--;
  let result = fault.NONE;
  for (let i = first; i < depth && result == fault.NONE; i++) {
    const here = level(i);
    setPathLength(i + 1 < depth ? level(i + 1).before : parent);
    result = put.tell(changetype<Record>(stack + here.waits), here.kind);
    here.waits = NOT_WAITING;
  }
  stackUsed = 0;
  setPathLength(full);
  return result;
}

function lengthOfParent(): u32 {
  const at = put.lastName();
  return at > 0 ? at - 1 : 0;
}

function emit(record: Record, kind: u32, hides: bool): i32 {
  const isEntered: bool = record.kind == ENTER;
  // The directory itself is on the path already, and does not wait.
  if (isEntered) depth--;
  let result = release();
  if (isEntered) depth++;
  if (result == fault.NONE) result = put.tell(record, kind);
  return result == fault.NONE && hides && mode == LAYER ? put.tellOpaque() : result;
}
