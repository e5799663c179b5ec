/**
 * Placing an inode in the tree by its path, whiteouts included: `.wh.NAME` hides NAME of the lower layers, `.wh..wh..opq` all that they have in its
 * directory. Other names that start `.wh..wh.` are leftovers of aufs and mean nothing.
 * Source: OCI image-spec v1.1, layer.md, "Whiteouts": a whiteout never hides what is in its own layer, in whichever order they come.
 */

import * as fault from "./fault";
import { clean, directoryAt, forget, lastName, why } from "./path";
import { Entry, Inode, OPAQUE, S_IFCHR, S_IFDIR, WHITEOUT, inode, insert, isDirectory, lookup, rename, root } from "./tree";

const WH: u32 = 0x2e68772e; // ".wh."
const OPQ: u32 = 0x71706f2e; // ".opq"

/**
 * @param path  the entry's path; changed
 * @param node  what it stands for. When a directory is there already, it takes over `node`'s attributes and keeps its contents.
 * @returns     a fault or NONE
 */
export function place(path: usize, length: u32, node: Inode): i32 {
  const size = clean(path, length);
  if (size < 0) return why;
  if (size == 0) return isDirectory(node) ? adopt(root, node) : fault.NOT_DIRECTORY;
  const cut = lastName(path, size);
  const directory = directoryAt(path, cut > 0 ? cut - 1 : 0, true);
  if (!directory) return why;
  const name = path + cut;
  const nameLength: u32 = <u32>size - cut;
  if (nameLength >= 4 && load<u32>(name) == WH) return whiteout(directory, name + 4, nameLength - 4);
  const entry = lookup(directory, name, nameLength);
  if (!entry) insert(directory, name, nameLength, node);
  else replace(entry, node);
  return fault.NONE;
}

function replace(entry: Entry, node: Inode): void {
  const former = entry.inode;
  if (former == node) return;
  if (isDirectory(former) && isDirectory(node)) {
    adopt(former, node);
    return;
  }
  if (isDirectory(node) && former.flags & WHITEOUT) node.flags |= OPAQUE;
  if (isDirectory(former)) forget();
  rename(entry, node);
}

function adopt(directory: Inode, node: Inode): i32 {
  directory.mode = node.mode;
  directory.uid = node.uid;
  directory.gid = node.gid;
  directory.mtime = node.mtime;
  directory.mtimeNs = node.mtimeNs;
  directory.xattrs = node.xattrs;
  return fault.NONE;
}

function whiteout(directory: Inode, name: usize, length: u32): i32 {
  if (length >= 4 && load<u32>(name) == WH) {
    if (length == 8 && load<u32>(name + 4) == OPQ) directory.flags |= OPAQUE;
    return fault.NONE;
  }
  if (length == 0 || (length <= 2 && load<u8>(name) == 0x2e && load<u8>(name + length - 1) == 0x2e)) return fault.BAD_WHITEOUT;
  const entry = lookup(directory, name, length);
  if (entry) {
    if (isDirectory(entry.inode)) entry.inode.flags |= OPAQUE;
    return fault.NONE;
  }
  const node = inode(S_IFCHR);
  node.flags = WHITEOUT;
  insert(directory, name, length, node);
  return fault.NONE;
}

/** Gives the inode that `target` names another name. @returns a fault or NONE */
export function link(path: usize, length: u32, target: usize, targetLength: u32): i32 {
  const size = clean(target, targetLength);
  if (size < 0) return why;
  const cut = lastName(target, size);
  const directory = directoryAt(target, cut > 0 ? cut - 1 : 0, false);
  if (!directory) return why == fault.LINK_LOOP ? why : fault.LINK_TARGET;
  const entry = lookup(directory, target + cut, <u32>size - cut);
  if (!entry || isDirectory(entry.inode) || entry.inode.flags & WHITEOUT) return fault.LINK_TARGET;
  return place(path, length, entry.inode);
}
