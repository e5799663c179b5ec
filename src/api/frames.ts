/** Docker's framing of a stream with two outputs: `{stream, 0, 0, 0, length (4 bytes, big-endian)} payload`. */

export const STDOUT = 1;
export const STDERR = 2;
/** A failure of the daemon: the reader stops with this text. */
export const SYSTEM_ERROR = 3;

export function frame(stream: number, payload: Uint8Array): Uint8Array {
  const framed = Buffer.allocUnsafe(8 + payload.byteLength);
  framed.writeUInt32BE(stream << 24, 0);
  framed.writeUInt32BE(payload.byteLength, 4);
  framed.set(payload, 8);
  return framed;
}
