/** Inodes of several names, by device and number: the first name that was met is the one that the others are hard links to. */

import { alloc, keep, reserve } from "./memory";
import { Record } from "./walk-record";

@unmanaged
export class Link {
  inode: u64;
  device: u64;
  path: usize;
  length: u32;
}

let slots: usize = 0;
let mask: u32 = 0;
let count: u32 = 0;

function deviceOf(record: Record): u64 {
  return (<u64>record.deviceMajor << 32) | record.deviceMinor;
}

function slotOf(inode: u64, device: u64): u32 {
  let hash = (inode ^ (device * 0x9e3779b97f4a7c15)) * 0xff51afd7ed558ccd;
  hash ^= hash >> 32;
  return <u32>hash & mask;
}

/** @returns the inode's entry, or the empty one that it would have. */
function at(inode: u64, device: u64): Link {
  let slot = slotOf(inode, device);
  let link = changetype<Link>(slots + slot * offsetof<Link>());
  while (link.path && (link.inode != inode || link.device != device)) {
    slot = (slot + 1) & mask;
    link = changetype<Link>(slots + slot * offsetof<Link>());
  }
  return link;
}

/** @returns the first name of the record's inode; null when there is none yet */
export function known(record: Record): Link | null {
  if (!slots) return null;
  const link = at(record.inode, deviceOf(record));
  return link.path ? link : null;
}

function grow(): bool {
  const former = slots;
  const formerSlots: u32 = former ? mask + 1 : 0;
  const wanted: u32 = former ? formerSlots * 2 : 1024;
  if (!reserve(<u64>wanted * offsetof<Link>())) return false;
  slots = alloc(wanted * offsetof<Link>());
  mask = wanted - 1;
  for (let i: u32 = 0; i < formerSlots; i++) {
    const link = changetype<Link>(former + i * offsetof<Link>());
    if (link.path) memory.copy(changetype<usize>(at(link.inode, link.device)), changetype<usize>(link), offsetof<Link>());
  }
  return true;
}

/** Notes the first name of an inode. @returns false when memory is used up */
export function note(record: Record, path: usize, length: u32): bool {
  if ((!slots || count * 2 > mask) && !grow()) return false;
  if (!reserve(length)) return false;
  const link = at(record.inode, deviceOf(record));
  link.inode = record.inode;
  link.device = deviceOf(record);
  link.path = keep(path, length);
  link.length = length;
  count++;
  return true;
}
