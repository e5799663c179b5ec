/** Records of a walk made by hand. Layout: wasm/walk-record.ts. */

export interface WalkRecord {
  readonly kind: "enter" | "leave" | "leaf" | "old";
  readonly name?: string;
  readonly opaque?: boolean;
  readonly alone?: boolean;
  /** Type and permissions. */
  readonly mode?: number;
  readonly uid?: number;
  readonly gid?: number;
  readonly mtime?: number;
  readonly mtimeNs?: number;
  readonly size?: number;
  readonly inode?: number;
  readonly device?: readonly [major: number, minor: number];
  readonly rdev?: readonly [major: number, minor: number];
  readonly links?: number;
  readonly target?: string;
  readonly xattrs?: Readonly<Record<string, string>>;
}

const KINDS = { enter: 1, leave: 2, leaf: 3, old: 4 } as const;
const HEAD = 80;

/** Ends with NULs up to a multiple of 8. */
const padded = (parts: readonly Uint8Array[], from: number): Buffer => {
  const text = Buffer.concat([...parts, Buffer.alloc(1)]);
  return Buffer.concat([text, Buffer.alloc(-(from + text.length) & 7)]);
};

function xattrOf([name, value]: readonly [string, string]): Buffer {
  const head = Buffer.alloc(8);
  const [key, bytes] = [Buffer.from(`${name}\0`), Buffer.from(value)];
  head.writeUInt32LE(key.length - 1, 0);
  head.writeUInt32LE(bytes.length, 4);
  return padded([head, key, bytes], 0);
}

export function recordOf(record: WalkRecord): Buffer {
  const xattrs = Object.entries(record.xattrs ?? {});
  const [name, target] = [Buffer.from(record.name ?? ""), Buffer.from(record.target ?? "")];
  const body = [padded([name, Buffer.alloc(1), target], HEAD), ...xattrs.map(xattrOf)];
  const head = Buffer.alloc(HEAD);
  const put32 = (at: number, ...values: readonly number[]) =>
    values.forEach((value, i) => void head.writeUInt32LE(value, at + 4 * i));
  put32(0, HEAD + body.reduce((sum, part) => sum + part.length, 0));
  head.writeUInt8(KINDS[record.kind], 4);
  head.writeUInt8((record.opaque === true ? 1 : 0) | (record.alone === true ? 2 : 0), 5);
  head.writeUInt16LE(name.length, 6);
  put32(8, record.mode ?? 0, record.uid ?? 0, record.gid ?? 0, record.mtimeNs ?? 0);
  head.writeBigInt64LE(BigInt(record.mtime ?? 0), 24);
  head.writeBigUInt64LE(BigInt(record.size ?? 0), 32);
  head.writeBigUInt64LE(BigInt(record.inode ?? 0), 40);
  put32(48, ...(record.device ?? [8, 1]), ...(record.rdev ?? [0, 0]), record.links ?? 1, target.length, xattrs.length);
  return Buffer.concat([head, ...body]);
}

export const enter = (name: string, more: Partial<WalkRecord> = {}): WalkRecord => ({
  kind: "enter",
  name,
  mode: 0o40755,
  ...more,
});
export const leaf = (name: string, more: Partial<WalkRecord> = {}): WalkRecord => ({
  kind: "leaf",
  name,
  mode: 0o100644,
  ...more,
});
export const old = (name: string, more: Partial<WalkRecord> = {}): WalkRecord => ({
  kind: "old",
  name,
  mode: 0o100644,
  ...more,
});
export const leave: WalkRecord = { kind: "leave" };
