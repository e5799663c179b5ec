/**
 * Tar archives of images, as they stream by. This is the envelope around layers, read entry by entry; layers themselves go through the WASM
 * engine. Source: POSIX.1-2018 pax, "ustar Interchange Format" and "pax Header Block"; GNU tar manual, "Basic Tar Format".
 */

import type { FileAttributes } from "../base/attributes.ts";
import { corrupt } from "../base/errors.ts";
import { Portions } from "../base/portions.ts";
import type { Bytes } from "../base/streams.ts";

export interface TarEntry {
  /** As written in the archive: not to be trusted as a path. */
  readonly name: string;
  readonly type: "file" | "directory" | "symlink" | "hardlink" | "character" | "block" | "fifo" | "other";
  readonly linkName: string;
  /** Bytes of the body. */
  readonly size: number;
  readonly attributes: FileAttributes;
  /** To be read before the next entry is asked for; what is left of it is passed over. */
  readonly body: AsyncIterable<Uint8Array>;
  /** All of the body that is not read yet, if it need not be waited for. */
  whole(): Uint8Array | undefined;
}

const blockBytes = 512;
/** Bytes of an extended header. */
const largestMeta = 1 << 20;

const types: Readonly<Record<string, TarEntry["type"]>> = {
  "0": "file",
  "\0": "file",
  "7": "file",
  "1": "hardlink",
  "2": "symlink",
  "3": "character",
  "4": "block",
  "5": "directory",
  "6": "fifo",
};

/** How texts of the archive become strings: `latin1` makes a character of each byte, for names of any encoding. */
export type TarEncoding = "utf-8" | "latin1";

const malformed = (why: string) => corrupt(`Cannot read the archive: ${why}`);

const decoded = (bytes: Uint8Array, encoding: TarEncoding): string =>
  encoding === "latin1"
    ? Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("latin1")
    : new TextDecoder().decode(bytes);

const textOf = (field: Uint8Array, encoding: TarEncoding = "utf-8"): string => {
  const end = field.indexOf(0);
  return decoded(end < 0 ? field : field.subarray(0, end), encoding);
};

const SPACE = 0x20;

/** Octal digits between spaces, to the first NUL. */
function octalOf(field: Uint8Array): number {
  const nul = field.indexOf(0);
  let end = nul < 0 ? field.length : nul;
  let at = 0;
  while (at < end && field[at] === SPACE) at++;
  while (end > at && field[end - 1] === SPACE) end--;
  let value = 0;
  for (; at < end; at++) {
    const digit = (field[at] ?? 0) - 0x30;
    if (digit < 0 || digit > 7) throw malformed("a number is malformed");
    value = value * 8 + digit;
  }
  return value;
}

/** Octal digits, or with the top bit set a big-endian number (GNU). */
function numberOf(field: Uint8Array): number {
  const [first = 0] = field;
  if (first === 0xff) return Number(BigInt.asIntN(8 * field.length, BigInt(`0x${Buffer.from(field).toString("hex")}`)));
  if (first === 0x80) return field.subarray(1).reduce((value, byte) => value * 256 + byte, 0);
  return octalOf(field);
}

/** Of a header, its own field counted as spaces. */
function checksumOf(block: Uint8Array): number {
  let sum = 8 * SPACE;
  for (let at = 0; at < blockBytes; at++) if (at < 148 || at >= 156) sum += block[at] ?? 0;
  return sum;
}

interface Header {
  readonly name: string;
  readonly flag: string;
  readonly size: number;
  readonly linkName: string;
}

function attributesOf(block: Uint8Array): FileAttributes {
  const number = (at: number, width: number) => numberOf(block.subarray(at, at + width));
  return {
    mode: number(100, 8) & 0o7777,
    uid: number(108, 8),
    gid: number(116, 8),
    mtime: { seconds: number(136, 12), nanoseconds: 0 },
    device: [number(329, 8), number(337, 8)],
    xattrs: NO_XATTRS,
  };
}

const NO_XATTRS: ReadonlyMap<string, string> = new Map();

function parseHeader(block: Uint8Array, encoding: TarEncoding): Header {
  if (block.byteLength < blockBytes) throw malformed("it ends too early");
  if (checksumOf(block) !== numberOf(block.subarray(148, 156))) throw malformed("a header's checksum is wrong");
  const isPosix = textOf(block.subarray(257, 263)) === "ustar";
  const prefix = isPosix ? textOf(block.subarray(345, 500), encoding) : "";
  const name = textOf(block.subarray(0, 100), encoding);
  const size = numberOf(block.subarray(124, 136));
  return {
    name: prefix ? `${prefix}/${name}` : name,
    flag: String.fromCharCode(block[156] ?? 0),
    size: checkedSize(size),
    linkName: textOf(block.subarray(157, 257), encoding),
  };
}

function checkedSize(size: number): number {
  if (!Number.isSafeInteger(size) || size < 0) throw malformed("a size is out of range");
  return size;
}

/** `length key=value\n`, repeated; `length` counts all of the record. */
function parsePax(bytes: Uint8Array, encoding: TarEncoding): ReadonlyMap<string, string> {
  const records = new Map<string, string>();
  for (let at = 0; at < bytes.byteLength; ) {
    const space = bytes.indexOf(0x20, at);
    const length = Number(new TextDecoder().decode(bytes.subarray(at, Math.max(at, space))) || Number.NaN);
    const end = at + length;
    if (!Number.isSafeInteger(length) || end <= space || end > bytes.byteLength || bytes[end - 1] !== 0x0a)
      throw malformed("an extended header is malformed");
    const record = decoded(bytes.subarray(space + 1, end - 1), encoding);
    const equals = record.indexOf("=");
    if (equals < 1) throw malformed("an extended header is malformed");
    records.set(record.slice(0, equals), record.slice(equals + 1));
    at = end;
  }
  return records;
}

const padded = (size: number): number => Math.ceil(size / blockBytes) * blockBytes;

/** What extended headers say of the entry that follows them. */
interface Extension {
  name?: string;
  linkName?: string;
  size?: number;
  attributes?: Partial<FileAttributes>;
  /** GNU's: what follows is no file's content. */
  sparse?: boolean;
}

/** `1700000000.25`, also before 1970. */
function parseTime(text: string): FileAttributes["mtime"] {
  const [, whole, fraction = ""] = /^(-?\d+)(?:\.(\d*))?$/.exec(text) ?? [];
  if (whole === undefined) throw malformed("a time is malformed");
  const nanoseconds = Number(fraction.padEnd(9, "0").slice(0, 9));
  if (!whole.startsWith("-") || nanoseconds === 0) return { seconds: Number(whole), nanoseconds };
  return { seconds: Number(whole) - 1, nanoseconds: 1e9 - nanoseconds };
}

const XATTR = "SCHILY.xattr.";

function extendedAttributes(records: ReadonlyMap<string, string>): Partial<FileAttributes> {
  const number = (name: "uid" | "gid") => {
    const text = records.get(name);
    return text === undefined ? {} : { [name]: checkedSize(Number(text)) };
  };
  const mtime = records.get("mtime");
  const xattrs = [...records].flatMap(([key, value]): [string, string][] =>
    key.startsWith(XATTR) ? [[key.slice(XATTR.length), value]] : [],
  );
  return {
    ...number("uid"),
    ...number("gid"),
    ...(mtime !== undefined && { mtime: parseTime(mtime) }),
    ...(xattrs.length > 0 && { xattrs: new Map(xattrs) }),
  };
}

async function extend(
  extension: Extension,
  { flag, size }: Header,
  source: Portions,
  encoding: TarEncoding,
): Promise<void> {
  if (size > largestMeta) throw malformed("an extended header is too large");
  const bytes = (await source.exactly(padded(size))).subarray(0, size);
  if (bytes.byteLength < size) throw malformed("it ends too early");
  if (flag === "L") extension.name = textOf(bytes, encoding);
  if (flag === "K") extension.linkName = textOf(bytes, encoding);
  if (flag !== "x") return;
  const records = parsePax(bytes, encoding);
  if ([...records.keys()].some((key) => key.startsWith("GNU.sparse."))) extension.sparse = true;
  extension.attributes = extendedAttributes(records);
  const [path, link, length] = [records.get("path"), records.get("linkpath"), records.get("size")];
  if (path !== undefined) extension.name = path;
  if (link !== undefined) extension.linkName = link;
  if (length !== undefined) extension.size = checkedSize(/^\d+$/.test(length) ? Number(length) : Number.NaN);
}

/**
 * @returns the entries in order
 * @throws  corrupt where the archive is malformed or ends too early, and what the stream fails with
 */
export async function* readTar(
  bytes: Bytes | Portions,
  encoding: TarEncoding = "utf-8",
): AsyncGenerator<TarEntry, void> {
  const source = bytes instanceof Portions ? bytes : new Portions(bytes);
  let extension: Extension = {};
  try {
    for (;;) {
      const block = source.atHand(blockBytes) ?? (await source.exactly(blockBytes));
      // Two blocks of zeros end a tar; one is enough for every reader, and some writers leave both out.
      if (block.byteLength === 0 || block.every((byte) => byte === 0)) return;
      const header = parseHeader(block, encoding);
      if ("LKxg".includes(header.flag)) {
        await extend(extension, header, source, encoding);
        continue;
      }
      const type = extension.sparse ? "other" : (types[header.flag] ?? "other");
      const size = type === "file" || type === "other" ? (extension.size ?? header.size) : 0;
      let left = size;
      const body = {
        async *[Symbol.asyncIterator]() {
          while (left > 0) {
            const piece = await source.some(left);
            if (!piece) throw malformed("it ends too early");
            left -= piece.byteLength;
            yield piece;
          }
        },
      };
      const whole = () => {
        const bytes = source.atHand(left);
        if (bytes) left = 0;
        return bytes;
      };
      const { name = header.name, linkName = header.linkName } = extension;
      const { attributes } = extension;
      yield {
        name,
        type,
        linkName,
        size,
        body,
        whole,
        // Most readers do not ask, and need not fail for what is malformed in them.
        get attributes() {
          return { ...attributesOf(block), ...attributes };
        },
      };
      const rest = left + padded(size) - size;
      if (!source.atHand(rest) && !(await source.skip(rest))) throw malformed("it ends too early");
      extension = {};
    }
  } finally {
    await source.close();
  }
}
