/**
 * EROFS on disk, as far as an index of a tar needs it. Little endian; blocks of 512 bytes, so that every file's data in the tar
 * starts a block. Source: Linux, fs/erofs/erofs_fs.h.
 *
 *        0 ┌─────────────────────────────┐
 *          │ unused                      │
 *     1024 ├─────────────────────────────┤ superblock, 128 bytes
 *     1152 ├─────────────────────────────┤ device slot, 128 bytes: the tar, whose blocks follow this image's own
 *     1280 ├─────────────────────────────┤ root inode: node id 1280 / 32
 *          │ inodes in slots of 32 bytes:│ core 64 │ xattrs │ inline tail (dirents, symlink) or chunk index
 *          ├─────────────────────────────┤ a block's start
 *          │ directories' other blocks   │
 *          └─────────────────────────────┘
 */

export const BLOCK_BITS: u32 = 9;
export const BLOCK: u32 = 1 << BLOCK_BITS;
export const SLOT_BITS: u32 = 5;

export const SUPERBLOCK: u32 = 1024;
export const SUPERBLOCK_BYTES: u32 = 128;
export const MAGIC: u32 = 0xe0f5e1e2;
export const COMPAT_CHECKSUM: u32 = 1;
export const INCOMPAT_CHUNKED_FILE: u32 = 4;
export const INCOMPAT_DEVICE_TABLE: u32 = 8;

export const DEVICE: u32 = SUPERBLOCK + SUPERBLOCK_BYTES;
export const DEVICE_BYTES: u32 = 128;
export const DEVICE_TAG_BYTES: u32 = 64;

export const INODE_BYTES: u32 = 64;
/** i_format: bit 0, extended inode; from bit 1, how the data is laid out. */
export const LAYOUT_PLAIN: u32 = 0;
export const LAYOUT_INLINE: u32 = 2;
export const LAYOUT_CHUNKS: u32 = 4;

/** i_u of a chunked file: bits 0-4, log2 of the chunk in blocks; this bit, 8-byte indexes. */
export const CHUNK_INDEXES: u32 = 0x20;
export const CHUNK_INDEX_BYTES: u32 = 8;
export const HOLE: u32 = 0xffffffff;

export const XATTR_HEADER_BYTES: u32 = 12;
export const XATTR_ENTRY_BYTES: u32 = 4;

export const DIRENT_BYTES: u32 = 12;

/** File types of dirents: S_IFMT >> 12 to EROFS_FT_*. */
const TYPES: usize = memory.data<u8>([0, 5, 3, 0, 2, 0, 4, 0, 1, 0, 7, 0, 6, 0, 0, 0]);
export function direntType(mode: u32): u32 {
  return load<u8>(TYPES + ((mode >> 12) & 15));
}
