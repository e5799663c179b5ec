/** Options of the local driver, as a table. */

import { expect, test } from "bun:test";
import { kindOf } from "../../../src/base/errors.ts";
import { MOUNT_ATTRIBUTE } from "../../../src/base/mounts.ts";
import { localMount } from "../../../src/volume/local-options.ts";

test.each<[options: Record<string, string>, mount: object | undefined]>([
  [{}, undefined],
  [
    { type: "tmpfs", device: "tmpfs", o: "size=10m,uid=7,noexec,rw" },
    {
      kind: "file system",
      type: "tmpfs",
      source: "tmpfs",
      options: ["size=10m", "uid=7"],
      attributes: MOUNT_ATTRIBUTE.noexec,
    },
  ],
  [
    { type: "nfs", device: ":/export", o: "addr=192.0.2.1,ro" },
    {
      kind: "file system",
      type: "nfs",
      source: ":/export",
      options: ["addr=192.0.2.1"],
      attributes: MOUNT_ATTRIBUTE.readonly,
    },
  ],
  [
    { type: "none", device: "/srv", o: "bind" },
    { kind: "bind", source: "/srv", recursive: false, attributes: 0 },
  ],
  [
    { type: "none", device: "/srv", o: "rbind,ro,nosuid" },
    {
      kind: "bind",
      source: "/srv",
      recursive: true,
      attributes: MOUNT_ATTRIBUTE.readonly | MOUNT_ATTRIBUTE.nosuid,
    },
  ],
])("localMount(%p)", (options, mount) => {
  expect(localMount(options) as object | undefined).toEqual(mount);
});

test.each<[options: Record<string, string>, refused: string]>([
  [{ speed: "fast" }, 'invalid: invalid option: "speed"'],
  [{ type: "tmpfs" }, 'invalid: missing required option: "device"'],
  [{ device: "/a" }, 'invalid: missing required option: "type"'],
  [{ o: "ro" }, 'invalid: missing required option: "device"'],
  [{ type: "none", o: "bind", device: "a" }, 'invalid: invalid device "a": want an absolute path'],
  [{ type: "none", o: "bind,size=1", device: "/a" }, 'invalid: invalid mount option "size=1": a bind mount has none'],
  [
    { size: "1m", type: "tmpfs", device: "tmpfs" },
    "invalid: the option size is of a volume that is a plain directory: with type=tmpfs, use o=size=…",
  ],
])("localMount(%p) is refused", (options, refused) => {
  let told = "";
  try {
    localMount(options);
  } catch (error) {
    told = `${kindOf(error)}: ${error instanceof Error ? error.message : error}`;
  }
  expect(told).toBe(refused);
});
