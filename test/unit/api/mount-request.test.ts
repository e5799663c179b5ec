/** Mounts as requests spell them, as tables. */

import { describe, expect, test } from "bun:test";
import { Document } from "../../../src/api/document.ts";
import { parseBind, toMounts } from "../../../src/api/mount-request.ts";
import { kindOf } from "../../../src/base/errors.ts";

/** @returns `kind: message` */
function refusal(call: () => unknown): string {
  try {
    call();
  } catch (error) {
    return `${kindOf(error)}: ${error instanceof Error ? error.message : error}`;
  }
  return "accepted";
}

describe("parseBind()", () => {
  test.each<[spec: string, target: string, readonly: boolean, propagation: string]>([
    ["/a:/b", "/b", false, "rprivate"],
    ["/a:/b:ro", "/b", true, "rprivate"],
    ["/a:/b:rw", "/b", false, "rprivate"],
    ["/a:/b:z,ro,rslave", "/b", true, "rslave"],
    ["/a:/b/../c/", "/c", false, "rprivate"],
    ["/a:/b//c", "/b/c", false, "rprivate"],
  ])("parseBind(%p) is a folder of the host's", (spec, target, readonly, propagation) => {
    const bind = { source: "/a", target, readonly, propagation, createSource: true, nonRecursive: false };
    expect(parseBind(spec) as object).toEqual({ type: "bind", bind });
  });

  test.each<[spec: string, name: string | undefined, readonly: boolean, copy: boolean, mode: string]>([
    ["box:/b", "box", false, true, "z"],
    ["box:/b:ro", "box", true, true, "ro"],
    ["box:/b:nocopy,ro", "box", true, false, "nocopy,ro"],
    ["/b", undefined, false, true, ""],
  ])("parseBind(%p) is a volume", (spec, name, readonly, copy, mode) => {
    const volume = { name, target: "/b", readonly, copy, mode, driver: "d", subpath: "", options: {}, labels: {} };
    expect(parseBind(spec, "d") as object).toEqual({ type: "volume", volume });
  });

  test.each<[spec: string, refused: string]>([
    ["/a:", "invalid: invalid volume specification: '/a:'"],
    [":/b", "invalid: invalid volume specification: ':/b'"],
    ["/a:/b:ro:x", "invalid: invalid volume specification: '/a:/b:ro:x'"],
    [
      "/a:b",
      "invalid: invalid volume specification: '/a:b': invalid mount config for type \"volume\": invalid mount path: 'b' mount path must be absolute",
    ],
    [
      "/a:/",
      "invalid: invalid volume specification: '/a:/': invalid mount config for type \"bind\": invalid specification: destination can't be '/'",
    ],
    [
      "/a:/b/..",
      "invalid: invalid volume specification: '/a:/b/..': invalid mount config for type \"bind\": invalid specification: destination can't be '/'",
    ],
    ["/a:/b:sideways", "invalid: invalid mode: sideways"],
    ["/a:/b:nocopy", "invalid: invalid mode: nocopy"],
    ["box:/b:rslave", "invalid: invalid mode: rslave: a volume has no propagation"],
    [
      "../box:/b",
      'invalid: create ../box: "../box" includes invalid characters for a local volume name, only "[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed. If you intended to pass a host directory, use absolute path',
    ],
    ["b:/b", "invalid: create b: volume name is too short, names should be at least two alphanumeric characters"],
  ])("parseBind(%p) is refused", (spec, refused) => {
    expect(refusal(() => parseBind(spec))).toBe(refused);
  });
});

describe("toMounts()", () => {
  const mounts = (...list: readonly object[]) => toMounts(new Document({ Mounts: list }, "HostConfig."));

  test("toMounts() takes every option of a bind", () => {
    const options = { Propagation: "slave", NonRecursive: true, CreateMountpoint: true, ReadOnlyNonRecursive: true };
    const { binds } = mounts({ Type: "bind", Source: "/a", Target: "/x", ReadOnly: true, BindOptions: options });
    expect(binds as object[]).toEqual([
      {
        source: "/a",
        target: "/x",
        readonly: true,
        propagation: "slave",
        createSource: true,
        nonRecursive: true,
        readonlyShallow: true,
      },
    ]);
  });

  test("toMounts() takes every option of a volume", () => {
    const DriverConfig = { Name: "local", Options: { o: "size=1m" } };
    const options = { NoCopy: true, Labels: { a: "b" }, DriverConfig, Subpath: "sub/dir" };
    const { volumes } = mounts({ Type: "volume", Source: "box", Target: "/x", ReadOnly: true, VolumeOptions: options });
    expect(volumes).toEqual([
      {
        name: "box",
        target: "/x",
        readonly: true,
        copy: false,
        subpath: "sub/dir",
        driver: "local",
        options: { o: "size=1m" },
        labels: { a: "b" },
        mode: "z",
      },
    ]);
  });

  test("toMounts() takes every option of a tmpfs", () => {
    const options = { SizeBytes: 4096, Mode: 0o750, Options: [["noexec"], ["uid", "7"]] };
    expect(mounts({ Type: "tmpfs", Target: "/x", ReadOnly: true, TmpfsOptions: options }).tmpfs).toEqual({
      "/x": "ro,size=4096,mode=750,noexec,uid=7",
    });
  });

  const volume = (more: object) => ({ Type: "volume", Source: "box", Target: "/x", ...more });
  test.each<[mount: object, refused: string]>([
    [volume({ BindOptions: { Propagation: "slave" } }), "field BindOptions must not be specified"],
    [volume({ VolumeOptions: { Subpath: "../up" } }), "subpath must be a relative path within the volume"],
    [volume({ VolumeOptions: { Subpath: "/up" } }), "subpath must be a relative path within the volume"],
    [volume({ Source: "", ReadOnly: true }), "must not set ReadOnly mode when using anonymous volumes"],
    [volume({ Source: "", VolumeOptions: { Subpath: "a" } }), "must not set Subpath when using anonymous volumes"],
  ])("toMounts(%p) is refused", (mount, refused) => {
    expect(refusal(() => mounts(mount))).toBe(`invalid: invalid mount config for type "volume": ${refused}`);
  });

  test("toMounts() refuses options of a tmpfs that would be several", () => {
    const mount = { Type: "tmpfs", Target: "/x", TmpfsOptions: { Options: [["size", "1m,suid"]] } };
    expect(refusal(() => mounts(mount))).toContain("invalid option size=1m,suid");
  });
});
