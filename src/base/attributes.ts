/** What a file is beside its name and content, as archives tell it and disks keep it. */
export interface FileAttributes {
  /** Permission bits, with those above; for a node that is to be made with those of its kind (S_IF*). */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Since 1970; nanoseconds from 0. */
  readonly mtime: { readonly seconds: number; readonly nanoseconds: number };
  /** Of a device node. */
  readonly device: readonly [major: number, minor: number];
  /** By their names, as `user.a`. Values in the encoding that the reader chose; to be placed, a character of each byte. */
  readonly xattrs: ReadonlyMap<string, string>;
}
