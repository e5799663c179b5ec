/** The smallest tar there is: one file. Source: POSIX.1-2018 pax, "ustar Interchange Format". */

const BLOCK = 512;

const octal = (value: number, width: number): string => `${value.toString(8).padStart(width - 1, "0")}\0`;

/**
 * @param name  at most 99 bytes
 * @param mode  permission bits
 * @returns     the same bytes every time: owned by root, of 1970
 */
export function tarOfFile(name: string, content: Uint8Array, mode: number): Uint8Array {
  const header = Buffer.alloc(BLOCK);
  const numbers = octal(mode, 8) + octal(0, 8) + octal(0, 8) + octal(content.byteLength, 12) + octal(0, 12);
  header.write(name, 0, 99);
  header.write(numbers, 100);
  header.write(" ".repeat(8), 148);
  header.write("0", 156); // an ordinary file
  header.write("ustar\x0000", 257);
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${octal(sum, 7)} `, 148);
  const padding = Buffer.alloc(-content.byteLength & (BLOCK - 1));
  return Buffer.concat([header, content, padding, Buffer.alloc(2 * BLOCK)]);
}
