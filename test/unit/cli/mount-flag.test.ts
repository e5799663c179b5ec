/** `--mount`, as a table. */

import { expect, test } from "bun:test";
import { parseMountFlag } from "../../../src/cli/mount-flag.ts";

test.each<[line: string, mount: object]>([
  ["source=box,target=/x", { Type: "volume", Source: "box", Target: "/x" }],
  ["type=bind,src=/a,dst=/x,ro", { Type: "bind", Source: "/a", Target: "/x", ReadOnly: true }],
  ["type=bind,src=/a,dst=/x,readonly=false", { Type: "bind", Source: "/a", Target: "/x" }],
  [
    "type=bind,src=/a,dst=/x,bind-propagation=rslave,bind-create-src,bind-recursive=writable",
    {
      Type: "bind",
      Source: "/a",
      Target: "/x",
      BindOptions: { Propagation: "rslave", CreateMountpoint: true, ReadOnlyNonRecursive: true },
    },
  ],
  [
    'src=box,dst=/x,volume-nocopy,volume-subpath=a/b,volume-driver=local,"volume-opt=o=size=1m,uid=7",volume-label=a=b',
    {
      Type: "volume",
      Source: "box",
      Target: "/x",
      VolumeOptions: {
        NoCopy: true,
        Subpath: "a/b",
        Labels: { a: "b" },
        DriverConfig: { Name: "local", Options: { o: "size=1m,uid=7" } },
      },
    },
  ],
  [
    "type=tmpfs,destination=/x,tmpfs-size=64k,tmpfs-mode=1770",
    { Type: "tmpfs", Target: "/x", TmpfsOptions: { SizeBytes: 65536, Mode: 0o1770 } },
  ],
])("parseMountFlag(%p)", (line, mount) => {
  expect(parseMountFlag(line)).toEqual(mount);
});

test.each([
  ["type=bind,source=/a", "target is required"],
  ["target=/x,speed=9", "unexpected key 'speed'"],
  ["target=/x,source", "invalid field 'source' must be a key=value pair"],
  ["target=/x,readonly=perhaps", "invalid value for readonly: perhaps"],
  ["target=/x,tmpfs-mode=9", "invalid value for tmpfs-mode: 9"],
  ["target=/x,tmpfs-size=much", "invalid value for tmpfs-size: much"],
])("parseMountFlag(%p) is refused", (line, why) => {
  expect(() => parseMountFlag(line)).toThrow(why);
});
