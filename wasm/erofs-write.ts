/**
 * Writes a tree as an EROFS image without file data: files point into the tar, which the kernel mounts as a second device.
 *
 * One writer is run twice. The first time, `out` is 0: it writes nothing and notes where everything comes to lie; the second time it
 * writes there. So sizes and offsets cannot disagree with what is written.
 */

import { crc32cRegister } from "./crc32c";
import * as disk from "./erofs-format";
import * as fault from "./fault";
import { alloc, reserve } from "./memory";
import { Entry, Inode, OPAQUE, S_IFCHR, S_IFBLK, S_IFDIR, S_IFLNK, S_IFMT, S_IFREG, SPARSE, isDirectory, root } from "./tree";
import { PREFIX_TRUSTED, Xattr } from "./xattr";

/** Where the image starts in memory; 0 while measuring. */
let out: usize = 0;
let position: u32 = 0;
/** First block after the inodes, next free block from there, and blocks of the whole image. */
let blocksFrom: u32 = 0;
let blocksUsed: u32 = 0;
let blocks: u32 = 0;
let inodes: u32 = 0;
let chunked: bool = false;

export let image: usize = 0;
export let imageBytes: u32 = 0;

/** More chunk indexes than this, and a sparse file is better unpacked: 32 MiB of them. */
const MOST_CHUNKS: u64 = 1 << 22;

function put16(value: u32): void {
  if (out) store<u16>(out + position, <u16>value);
  position += 2;
}

function put32(value: u32): void {
  if (out) store<u32>(out + position, value);
  position += 4;
}

function put64(value: u64): void {
  if (out) store<u64>(out + position, value);
  position += 8;
}

function putBytes(bytes: usize, length: u32): void {
  if (out) memory.copy(out + position, bytes, length);
  position += length;
}

function align(to: u32): void {
  position = (position + to - 1) & ~(to - 1);
}

/**
 * @param inodeCount  as `order()` gave it
 * @param tarBytes    length of the tar, a multiple of 512
 * @returns           a fault or NONE; then the image is `imageBytes` at `image`
 */
export function writeErofs(inodeCount: u32, tarBytes: u64): i32 {
  inodes = inodeCount;
  out = 0;
  const misfit = measureFiles();
  if (misfit != fault.NONE) return misfit;
  if (!pass(tarBytes)) return fault.OUT_OF_MEMORY;
  imageBytes = blocks << disk.BLOCK_BITS;
  if (!reserve(imageBytes)) return fault.OUT_OF_MEMORY;
  image = alloc(imageBytes);
  out = image;
  if (!pass(tarBytes) || imageBytes != blocks << disk.BLOCK_BITS) unreachable();
  store<u32>(image + disk.SUPERBLOCK, crc32cRegister(~0, image + disk.SUPERBLOCK, disk.BLOCK), 4);
  return fault.NONE;
}

/** Sizes that do not depend on the place. */
function measureFiles(): i32 {
  for (let node: Inode | null = root; node; node = node.next) {
    const xattrs = xattrBytes(node);
    // i_xattr_icount is 16 bits.
    if (xattrs > 0x3ffff) return fault.XATTR_TOO_LARGE;
    node.xattrBytes = xattrs;
    if (isDirectory(node)) node.size = directoryBytes(node);
    else if (node.flags & SPARSE) {
      if (!chunkBits(node)) return fault.INEXPRESSIBLE;
      chunked = true;
    }
  }
  return fault.NONE;
}

/** @returns false when the image would not fit in memory */
function pass(tarBytes: u64): bool {
  position = disk.DEVICE + disk.DEVICE_BYTES;
  blocksUsed = 0;
  for (let node: Inode | null = root; node; node = node.next) {
    writeInode(node);
    if (position > 0x3fffffff) return false;
  }
  align(disk.BLOCK);
  blocksFrom = position >> disk.BLOCK_BITS;
  blocks = blocksFrom + blocksUsed;
  for (let node: Inode | null = root; node; node = node.next) if (node.blocks) writeBlocks(node);
  position = disk.SUPERBLOCK;
  writeSuperblock();
  writeDevice(tarBytes);
  return true;
}

function writeSuperblock(): void {
  put32(disk.MAGIC);
  put32(0); // checksum, when all is written
  put32(disk.COMPAT_CHECKSUM);
  put16(disk.BLOCK_BITS); // and no extension slots
  put16(root.position >> disk.SLOT_BITS);
  put64(inodes);
  put64(0); // build time and its nanoseconds: the index says only what the tar says
  put32(0);
  put32(blocks);
  put32(0); // inodes' and xattrs' first block
  put32(0);
  position += 32; // UUID and volume name
  put32(disk.INCOMPAT_DEVICE_TABLE | (chunked ? disk.INCOMPAT_CHUNKED_FILE : 0));
  put16(0);
  put16(1); // one device besides this image,
  put16(disk.DEVICE / disk.DEVICE_BYTES); // in this slot
  position = disk.DEVICE;
}

function writeDevice(tarBytes: u64): void {
  position += disk.DEVICE_TAG_BYTES;
  put32(<u32>(tarBytes >> disk.BLOCK_BITS));
  put32(blocks); // the tar's blocks come right after ours
}

function writeInode(node: Inode): void {
  align(1 << disk.SLOT_BITS);
  const tail = place(node);
  node.position = position;
  const kind = node.mode & S_IFMT;
  put16(1 | (node.layout << 1));
  put16(node.xattrBytes ? (node.xattrBytes - disk.XATTR_HEADER_BYTES) / 4 + 1 : 0);
  put16(node.mode);
  put16(0);
  put64(kind == S_IFREG || kind == S_IFDIR || kind == S_IFLNK ? node.size : 0);
  put32(content(node, kind));
  put32(node.ino);
  put32(node.uid);
  put32(node.gid);
  put64(node.mtime);
  put32(node.mtimeNs);
  put32(node.links);
  position += 16;
  if (node.xattrBytes) writeXattrs(node);
  if (node.layout == disk.LAYOUT_CHUNKS) writeChunks(node);
  else if (tail) writeContent(node, node.blocks << disk.BLOCK_BITS, tail);
}

/**
 * Decides where the contents of a directory or symlink go: full blocks after the inodes, and the rest right behind the inode where it fits
 * into a block. Moves `position` so that the rest does not cross a block's end.
 * @returns bytes of the rest
 */
function place(node: Inode): u32 {
  const kind = node.mode & S_IFMT;
  node.blocks = 0;
  node.layout = node.flags & SPARSE ? disk.LAYOUT_CHUNKS : disk.LAYOUT_PLAIN;
  if (kind != S_IFDIR && kind != S_IFLNK) return 0;
  const full = <u32>node.size >> disk.BLOCK_BITS;
  const tail = <u32>node.size & (disk.BLOCK - 1);
  const head = disk.INODE_BYTES + node.xattrBytes;
  const fits = tail > 0 && tail + disk.INODE_BYTES <= disk.BLOCK && (kind == S_IFDIR || head + tail <= disk.BLOCK);
  node.blocks = full + (tail > 0 && !fits ? 1 : 0);
  // Block number within the area after the inodes, until that area's start is known.
  if (node.blocks) {
    node.data = blocksUsed;
    blocksUsed += node.blocks;
  }
  if (!fits) return 0;
  node.layout = disk.LAYOUT_INLINE;
  while ((position + head) >> disk.BLOCK_BITS != (position + head + tail - 1) >> disk.BLOCK_BITS) position += 1 << disk.SLOT_BITS;
  return tail;
}

/** i_u: a device's number, a chunked file's format, or the first block of the contents. */
function content(node: Inode, kind: u32): u32 {
  if (kind == S_IFCHR || kind == S_IFBLK) return node.rdev;
  if (node.layout == disk.LAYOUT_CHUNKS) return disk.CHUNK_INDEXES | (chunkBits(node) - 1);
  if (kind == S_IFREG) return node.size ? blocks + <u32>(node.data >> disk.BLOCK_BITS) : 0;
  return blocksFrom + <u32>node.data;
}

/** The blocks after the inodes, of a directory or symlink. */
function writeBlocks(node: Inode): void {
  position = (blocksFrom + <u32>node.data) << disk.BLOCK_BITS;
  const bytes = <u32>min<u64>(node.size, node.blocks << disk.BLOCK_BITS);
  writeContent(node, 0, bytes);
}

function writeContent(node: Inode, from: u32, length: u32): void {
  if (isDirectory(node)) writeDirectory(node, from, length);
  else putBytes(node.target + from, length);
}

/** Bytes of a directory: names do not cross blocks. */
function directoryBytes(node: Inode): u32 {
  let size: u32 = 0;
  let used: u32 = 0;
  let entry = node.first;
  while (entry) {
    const bytes = disk.DIRENT_BYTES + entry.length;
    if (used + bytes > disk.BLOCK) {
      size += disk.BLOCK;
      used = 0;
    }
    used += bytes;
    entry = entry.next;
  }
  return size + used;
}

/** The blocks from offset `from` on, `length` bytes of them. */
function writeDirectory(node: Inode, from: u32, length: u32): void {
  if (!out) {
    position += length;
    return;
  }
  const start = position;
  let block: u32 = 0;
  let entry = node.first;
  while (entry) {
    let count: u32 = 0;
    let used: u32 = 0;
    for (let e: Entry | null = entry; e && used + disk.DIRENT_BYTES + e.length <= disk.BLOCK; e = e.next) {
      used += disk.DIRENT_BYTES + e.length;
      count++;
    }
    const written = block >= from && block < from + length;
    if (written) position = start + block - from;
    entry = writeDirents(entry, count, written);
    block += disk.BLOCK;
  }
  position = start + length;
}

/** One block: `count` dirents, then their names. @returns the entry after them */
function writeDirents(first: Entry, count: u32, written: bool): Entry | null {
  let name = count * disk.DIRENT_BYTES;
  const block = out + position;
  let entry: Entry | null = first;
  for (let i: u32 = 0; i < count; i++) {
    const each = <Entry>entry;
    if (written) {
      const dirent = block + i * disk.DIRENT_BYTES;
      store<u64>(dirent, each.inode.position >> disk.SLOT_BITS);
      store<u16>(dirent, <u16>name, 8);
      store<u8>(dirent, <u8>disk.direntType(each.inode.mode), 10);
      memory.copy(block + name, each.name, each.length);
    }
    name += each.length;
    entry = each.next;
  }
  return entry;
}

// "overlay.opaque", under trusted.
const OPAQUE_NAME: usize = memory.data<u8>([0x6f, 0x76, 0x65, 0x72, 0x6c, 0x61, 0x79, 0x2e, 0x6f, 0x70, 0x61, 0x71, 0x75, 0x65]);
const OPAQUE_VALUE: usize = memory.data<u8>([0x79]);

function entryBytes(name: u32, value: u32): u32 {
  return (disk.XATTR_ENTRY_BYTES + name + value + 3) & ~3;
}

function xattrBytes(node: Inode): u32 {
  let bytes: u32 = node.flags & OPAQUE ? entryBytes(14, 1) : 0;
  let each = changetype<Xattr | null>(node.xattrs);
  while (each) {
    bytes += entryBytes(each.nameLength, each.valueLength);
    each = each.next;
  }
  return bytes ? disk.XATTR_HEADER_BYTES + bytes : 0;
}

function writeXattrs(node: Inode): void {
  position += disk.XATTR_HEADER_BYTES; // no filter, none shared
  if (node.flags & OPAQUE) writeXattr(PREFIX_TRUSTED, OPAQUE_NAME, 14, OPAQUE_VALUE, 1);
  let each = changetype<Xattr | null>(node.xattrs);
  while (each) {
    writeXattr(each.prefix, each.name, each.nameLength, each.value, each.valueLength);
    each = each.next;
  }
}

function writeXattr(prefix: u32, name: usize, nameLength: u32, value: usize, valueLength: u32): void {
  put16(nameLength | (prefix << 8));
  put16(valueLength);
  putBytes(name, nameLength);
  putBytes(value, valueLength);
  align(4);
}

/**
 * The largest chunk, in blocks, in which a sparse file can be cut: every piece starts and ends at a chunk's edge, or at the file's end.
 * @returns 1 + its log2; 0 when the file cannot be cut so
 */
function chunkBits(node: Inode): u32 {
  let edges: u64 = 1 << 20; // chunks of at most 1 MiB
  for (let i: u32 = 0; i < node.extents; i++) {
    const offset = load<u64>(node.target + i * 16);
    const end = offset + load<u64>(node.target + i * 16 + 8);
    edges |= offset;
    if (end < node.size) edges |= end;
  }
  const bits = <u32>ctz(edges);
  if (bits < disk.BLOCK_BITS || (node.size >> bits) >= MOST_CHUNKS) return 0;
  return bits - disk.BLOCK_BITS + 1;
}

/** One index a chunk. Pieces lie in the tar one after the other. */
function writeChunks(node: Inode): void {
  align(disk.CHUNK_INDEX_BYTES);
  const bits = chunkBits(node) - 1 + disk.BLOCK_BITS;
  const chunk: u64 = 1 << bits;
  let at: u64 = 0;
  let data = node.data;
  for (let i: u32 = 0; i < node.extents; i++) {
    const end = load<u64>(node.target + i * 16) + load<u64>(node.target + i * 16 + 8);
    for (; at < load<u64>(node.target + i * 16); at += chunk) writeChunk(disk.HOLE);
    for (; at < end; at += chunk) {
      writeChunk(blocks + <u32>(data >> disk.BLOCK_BITS));
      data += chunk;
    }
  }
  for (; at < node.size; at += chunk) writeChunk(disk.HOLE);
}

function writeChunk(block: u32): void {
  put32(0); // high bits of the block; device 0: blocks are counted through
  put32(block);
}
