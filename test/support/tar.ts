/**
 * Tars made by hand, for what GNU tar would never write. Source: POSIX.1-2018 pax, "ustar Interchange Format"; GNU tar manual, "Basic Tar
 * Format".
 */

import { gzipSync } from "node:zlib";
import { type Digest, digestOf } from "../../src/base/digest.ts";

export interface TarEntry {
  readonly name: string | Uint8Array;
  /** Type flag; "0", a file. */
  readonly type?: string;
  readonly data?: string | Uint8Array;
  /** Size in the header, when it is not the data's. */
  readonly size?: number;
  readonly mode?: number;
  readonly uid?: number;
  readonly gid?: number;
  readonly mtime?: number;
  readonly link?: string;
  readonly major?: number;
  readonly minor?: number;
  /** Written in a pax header before the entry. */
  readonly pax?: Readonly<Record<string, string | Uint8Array>>;
  /** Raw bytes written over the header at an offset, before the checksum. */
  readonly raw?: readonly (readonly [offset: number, bytes: string | Uint8Array])[];
  /** What to add to the right checksum. */
  readonly checksumError?: number;
}

const BLOCK = 512;
const octal = (value: number, width: number): string => `${value.toString(8).padStart(width - 1, "0")}\0`;
const padded = (data: Uint8Array): Buffer =>
  Buffer.concat([data, Buffer.alloc((BLOCK - (data.length % BLOCK)) % BLOCK)]);

/** A record's length counts itself. */
function paxRecord(key: string, value: string | Uint8Array): Buffer {
  const rest = Buffer.concat([Buffer.from(` ${key}=`), Buffer.from(value), Buffer.from("\n")]);
  let length = rest.length + 1;
  while (String(length).length + rest.length !== length) length = String(length).length + rest.length;
  return Buffer.concat([Buffer.from(String(length)), rest]);
}

export const paxBody = (records: Readonly<Record<string, string | Uint8Array>>): Buffer =>
  Buffer.concat(Object.entries(records).map(([key, value]) => paxRecord(key, value)));

function header(entry: TarEntry, size: number): Buffer {
  const block = Buffer.alloc(BLOCK);
  const put = (offset: number, bytes: string | Uint8Array) => block.set(Buffer.from(bytes), offset);
  put(0, Buffer.from(entry.name).subarray(0, 100));
  put(100, octal(entry.mode ?? 0o644, 8));
  put(108, octal(entry.uid ?? 0, 8));
  put(116, octal(entry.gid ?? 0, 8));
  put(124, octal(size, 12));
  put(136, octal(entry.mtime ?? 0, 12));
  put(156, entry.type ?? "0");
  put(157, Buffer.from(entry.link ?? "").subarray(0, 100));
  put(257, "ustar\x0000");
  put(329, octal(entry.major ?? 0, 8));
  put(337, octal(entry.minor ?? 0, 8));
  for (const [offset, bytes] of entry.raw ?? []) put(offset, bytes);
  block.fill(" ", 148, 156);
  const sum = block.reduce((total, byte) => total + byte, 0) + (entry.checksumError ?? 0);
  put(148, `${sum.toString(8).padStart(6, "0")}\0 `);
  return block;
}

function entryBytes(entry: TarEntry): Buffer {
  const data = Buffer.from(entry.data ?? "");
  const own = Buffer.concat([header(entry, entry.size ?? data.length), padded(data)]);
  if (entry.pax === undefined) return own;
  return Buffer.concat([entryBytes({ name: "pax", type: "x", data: paxBody(entry.pax) }), own]);
}

/** A tar with its two closing blocks. */
export const tarOf = (...entries: readonly TarEntry[]): Buffer =>
  Buffer.concat([...entries.map(entryBytes), Buffer.alloc(2 * BLOCK)]);

/** A directory's entry. */
export const folder = (name: string, more: Partial<TarEntry> = {}): TarEntry => ({
  name,
  type: "5",
  mode: 0o755,
  ...more,
});
export const file = (name: string, data = "", more: Partial<TarEntry> = {}): TarEntry => ({ name, data, ...more });
export const symlink = (name: string, link: string): TarEntry => ({ name, type: "2", link, mode: 0o777 });
export const hardlink = (name: string, link: string): TarEntry => ({ name, type: "1", link });

export interface TestLayer {
  readonly tar: Buffer;
  readonly blob: Buffer;
  readonly diffId: Digest;
}

export const layerOf = (tar: Buffer): TestLayer => ({ tar, blob: gzipSync(tar, { level: 1 }), diffId: digestOf(tar) });
