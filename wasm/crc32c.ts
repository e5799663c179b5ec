/** CRC-32C (Castagnoli), eight bytes a step. Source: RFC 3720, appendix B.4; reflected polynomial 0x82f63b78. */

const POLYNOMIAL: u32 = 0x82f63b78;
/** 8 tables of 256 u32: table t, entry b is the CRC of byte b followed by t zero bytes. */
const TABLES: usize = memory.data(8 * 256 * 4);
let ready: bool = false;

function fill(): void {
  for (let byte: u32 = 0; byte < 256; byte++) {
    let crc = byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >> 1) ^ POLYNOMIAL : crc >> 1;
    store<u32>(TABLES + byte * 4, crc);
  }
  for (let at: u32 = 256; at < 8 * 256; at++) {
    const before = load<u32>(TABLES + (at - 256) * 4);
    store<u32>(TABLES + at * 4, (before >> 8) ^ load<u32>(TABLES + (before & 0xff) * 4));
  }
  ready = true;
}

// @ts-ignore: decorator
@inline
function table(which: u32, byte: u32): u32 {
  return load<u32>(TABLES + (which << 10) + ((byte & 0xff) << 2));
}

/**
 * The bare register: start with ~0 and invert the last result to have the usual CRC.
 * @param crc  result for the bytes before
 */
export function crc32cRegister(crc: u32, at: usize, length: u32): u32 {
  if (!ready) fill();
  const end = at + length;
  for (; at + 8 <= end; at += 8) {
    const low = load<u32>(at) ^ crc;
    const high = load<u32>(at, 4);
    crc =
      table(7, low) ^ table(6, low >> 8) ^ table(5, low >> 16) ^ table(4, low >> 24) ^
      table(3, high) ^ table(2, high >> 8) ^ table(1, high >> 16) ^ table(0, high >> 24);
  }
  for (; at < end; at++) crc = (crc >> 8) ^ table(0, crc ^ load<u8>(at));
  return crc;
}
