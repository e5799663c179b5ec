/** Why a tar is refused. The first fault of an instance is its last: later calls return it again. Order as in layer.wit, from 1. */

export const NONE: i32 = 0;
/** A header whose checksum is wrong: not a tar, or a damaged one. */
export const CHECKSUM: i32 = 1;
/** The tar ends inside an entry. */
export const TRUNCATED: i32 = 2;
/** A numeric field that is no number, or out of range. */
export const BAD_NUMBER: i32 = 3;
export const MALFORMED_PAX: i32 = 4;
/** A pax header or GNU long name beyond the limit. */
export const META_TOO_LARGE: i32 = 5;
export const PATH_TOO_LONG: i32 = 6;
/** A path component of more than 255 bytes, or one that holds a NUL. */
export const BAD_NAME: i32 = 7;
export const TOO_MANY_ENTRIES: i32 = 8;
/** `..` climbs out of the layer. */
export const ESCAPES: i32 = 9;
/** The entry's parent exists and is not a directory, or is a symlink that leads to none. */
export const NOT_DIRECTORY: i32 = 10;
/** More than 40 symlinks on the way to the entry. */
export const LINK_LOOP: i32 = 11;
/** A hard link to nothing or to a directory, a symlink to an empty or overlong path. */
export const LINK_TARGET: i32 = 12;
/** An extended attribute `trusted.overlay.*`, which would steer the kernel's overlay. */
export const RESERVED_XATTR: i32 = 13;
export const XATTR_TOO_LARGE: i32 = 14;
/** A character device 0:0, which the kernel's overlay would take for a whiteout. Images say it with `.wh.` names. */
export const BARE_WHITEOUT: i32 = 15;
/** `.wh.` in front of no name, or as a directory on the way to another entry. */
export const BAD_WHITEOUT: i32 = 16;
export const UNSUPPORTED_TYPE: i32 = 17;
export const BAD_SPARSE_MAP: i32 = 18;
/** The layer's metadata does not fit in the engine's memory. */
export const OUT_OF_MEMORY: i32 = 19;
/** The layer is sound, but the image format asked for cannot say it. Another one can. */
export const INEXPRESSIBLE: i32 = 20;
/** A file whose name starts `.wh.`: in a layer it would hide another one. */
export const RESERVED_NAME: i32 = 21;
/** A walk's record that is none, or out of order: a defect of the host. */
export const BAD_RECORD: i32 = 22;
