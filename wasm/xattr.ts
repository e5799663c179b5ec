/**
 * Extended attributes as a list in linear memory, by the prefixes that EROFS knows. Names outside of them cannot exist on a Linux file system
 * that a container sees, and are dropped, as extracting would (setxattr: ENOTSUP).
 * Sources: xattr(7); GNU tar and star `SCHILY.xattr.` (raw values); libarchive `LIBARCHIVE.xattr.` (name percent-encoded, value base64).
 */

import * as fault from "./fault";
import { alloc, keep, same } from "./memory";

@unmanaged
export class Xattr {
  next: Xattr | null;
  /** Index of the prefix, as EROFS counts; `name` is what follows the prefix. */
  prefix: u32;
  name: usize;
  nameLength: u32;
  value: usize;
  valueLength: u32;
}

const USER: usize = memory.data<u8>([0x75, 0x73, 0x65, 0x72, 0x2e]); // user.
const TRUSTED: usize = memory.data<u8>([0x74, 0x72, 0x75, 0x73, 0x74, 0x65, 0x64, 0x2e]); // trusted.
const SECURITY: usize = memory.data<u8>([0x73, 0x65, 0x63, 0x75, 0x72, 0x69, 0x74, 0x79, 0x2e]); // security.
const OVERLAY: usize = memory.data<u8>([0x6f, 0x76, 0x65, 0x72, 0x6c, 0x61, 0x79]); // overlay
// system.posix_acl_access, system.posix_acl_default
const ACL: usize = memory.data<u8>([
  0x73, 0x79, 0x73, 0x74, 0x65, 0x6d, 0x2e, 0x70, 0x6f, 0x73, 0x69, 0x78, 0x5f, 0x61, 0x63, 0x6c, 0x5f,
]);
const ACCESS: usize = memory.data<u8>([0x61, 0x63, 0x63, 0x65, 0x73, 0x73]);
const DEFAULT: usize = memory.data<u8>([0x64, 0x65, 0x66, 0x61, 0x75, 0x6c, 0x74]);

export const PREFIX_USER: u32 = 1;
export const PREFIX_ACL_ACCESS: u32 = 2;
export const PREFIX_ACL_DEFAULT: u32 = 3;
export const PREFIX_TRUSTED: u32 = 4;
export const PREFIX_SECURITY: u32 = 6;

function starts(text: usize, length: u32, prefix: usize, prefixLength: u32): bool {
  return length >= prefixLength && memory.compare(text, prefix, prefixLength) == 0;
}

let prefix: u32 = 0;
let cut: u32 = 0;

/** Sets `prefix` and `cut`, the prefix' length. @returns false for a name that no file system takes */
function classify(name: usize, length: u32): bool {
  if (starts(name, length, USER, 5)) return choose(PREFIX_USER, 5);
  if (starts(name, length, TRUSTED, 8)) return choose(PREFIX_TRUSTED, 8);
  if (starts(name, length, SECURITY, 9)) return choose(PREFIX_SECURITY, 9);
  if (!starts(name, length, ACL, 17)) return false;
  if (same(name + 17, length - 17, ACCESS, 6)) return choose(PREFIX_ACL_ACCESS, length);
  if (same(name + 17, length - 17, DEFAULT, 7)) return choose(PREFIX_ACL_DEFAULT, length);
  return false;
}

function choose(index: u32, length: u32): bool {
  prefix = index;
  cut = length;
  return true;
}

/**
 * Adds to the list that starts at `*list`; a value given again replaces the former one. The bytes are copied; their room must have been reserved.
 * @returns a fault or NONE
 */
export function add(list: usize, name: usize, length: u32, value: usize, valueLength: u32): i32 {
  if (!classify(name, length)) return fault.NONE;
  const rest = name + cut;
  const restLength = length - cut;
  if (prefix == PREFIX_TRUSTED && starts(rest, restLength, OVERLAY, 7) && (restLength == 7 || load<u8>(rest, 7) == 0x2e))
    return fault.RESERVED_XATTR;
  if (length > 255 || valueLength > 0xffff) return fault.XATTR_TOO_LARGE;
  if (prefix != PREFIX_ACL_ACCESS && prefix != PREFIX_ACL_DEFAULT && restLength == 0) return fault.NONE;
  let at = load<Xattr | null>(list);
  while (at && !(at.prefix == prefix && same(at.name, at.nameLength, rest, restLength))) at = at.next;
  if (!at) {
    at = changetype<Xattr>(alloc(offsetof<Xattr>()));
    at.prefix = prefix;
    at.name = keep(rest, restLength);
    at.nameLength = restLength;
    at.next = load<Xattr | null>(list);
    store<Xattr>(list, at);
  }
  at.value = keep(value, valueLength);
  at.valueLength = valueLength;
  return fault.NONE;
}

function hexDigit(byte: u32): i32 {
  if (byte - 0x30 <= 9) return byte - 0x30;
  if ((byte | 0x20) - 0x61 <= 5) return (byte | 0x20) - 0x61 + 10;
  return -1;
}

/** Decodes `%41` in place. @returns the new length */
export function percentDecode(text: usize, length: u32): u32 {
  let out: u32 = 0;
  for (let i: u32 = 0; i < length; i++) {
    let byte: u32 = load<u8>(text + i);
    if (byte == 0x25 && i + 2 < length) {
      const high = hexDigit(load<u8>(text + i + 1));
      const low = hexDigit(load<u8>(text + i + 2));
      if (high >= 0 && low >= 0) {
        byte = (high << 4) | low;
        i += 2;
      }
    }
    store<u8>(text + out++, byte);
  }
  return out;
}

function base64Digit(byte: u32): i32 {
  if (byte - 0x41 <= 25) return byte - 0x41;
  if (byte - 0x61 <= 25) return byte - 0x61 + 26;
  if (byte - 0x30 <= 9) return byte - 0x30 + 52;
  return byte == 0x2b ? 62 : byte == 0x2f ? 63 : -1;
}

/** Decodes in place; padding is optional. @returns the new length, or -1 when it is not base64 */
export function base64Decode(text: usize, length: u32): i32 {
  let bits: u32 = 0;
  let held: u32 = 0;
  let out: u32 = 0;
  for (let i: u32 = 0; i < length; i++) {
    const byte: u32 = load<u8>(text + i);
    if (byte == 0x3d) break;
    const digit = base64Digit(byte);
    if (digit < 0) return -1;
    bits = (bits << 6) | digit;
    held += 6;
    if (held < 8) continue;
    held -= 8;
    store<u8>(text + out++, bits >> held);
  }
  return out;
}
