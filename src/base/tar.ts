/** Writing tars of plain files: the envelope around layers and images. Source: POSIX.1-2018 pax, "ustar Interchange Format". */

const BLOCK = 512;

const octal = (value: number, width: number): string => `${value.toString(8).padStart(width - 1, "0")}\0`;

/** Digits where they suffice; else GNU's big-endian number, of 8 GiB and more. */
function sizeField(size: number): Buffer {
  if (size < 8 ** 11) return Buffer.from(octal(size, 12));
  const field = Buffer.alloc(12);
  field.writeUInt8(0x80);
  field.writeBigUInt64BE(BigInt(size), 4);
  return field;
}

export interface TarFile {
  /** At most 99 bytes. */
  readonly name: string;
  /** Bytes. */
  readonly size: number;
  /** Permission bits. */
  readonly mode: number;
}

/** @returns the header of an ordinary file, owned by root, of 1970 */
export function tarHeader({ name, size, mode }: TarFile): Uint8Array {
  const header = Buffer.alloc(BLOCK);
  header.write(name, 0, 99);
  header.write(octal(mode, 8) + octal(0, 8) + octal(0, 8), 100);
  header.set(sizeField(size), 124);
  header.write(octal(0, 12), 136);
  header.write(" ".repeat(8), 148);
  header.write("0", 156); // an ordinary file
  header.write("ustar\x0000", 257);
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${octal(sum, 7)} `, 148);
  return header;
}

/** @returns what follows a file's content of so many bytes. */
export const tarPadding = (size: number): Uint8Array => new Uint8Array(-size & (BLOCK - 1));

/** What ends a tar. */
export const tarEnd: Uint8Array = new Uint8Array(2 * BLOCK);

/**
 * The smallest tar there is: one file.
 * @returns the same bytes every time
 */
export const tarOfFile = (name: string, content: Uint8Array, mode: number): Uint8Array =>
  Buffer.concat([tarHeader({ name, size: content.byteLength, mode }), content, tarPadding(content.byteLength), tarEnd]);
