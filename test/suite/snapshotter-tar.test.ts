/** Layers judged by GNU tar: what it extracts and what a snapshot shows are the same, name by name. */

import { afterAll, describe, expect, test } from "bun:test";
import { chmod, chown, link, lutimes, mkdir, symlink, truncate, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { zstdCompressSync } from "node:zlib";
import { buildShim } from "../../shim/shim.build.ts";
import { digestOf } from "../../src/base/digest.ts";
import { ErofsSnapshotter } from "../../src/store/snapshot-erofs.ts";
import { OverlaySnapshotter } from "../../src/store/snapshot-overlay.ts";
import { Workers } from "../../src/wasm/workers.ts";
import { buildWasm } from "../../wasm/layer.build.ts";
import { makeFolder } from "../support/folder.ts";
import { mounted } from "../support/mounts.ts";
import { treeOf } from "../support/trees.ts";
import { randomBytes } from "./content.ts";

await buildWasm();
await buildShim();
const workers = new Workers({ size: 1 });
afterAll(() => workers[Symbol.dispose]());

function run(...command: string[]): void {
  const { exitCode, stderr } = Bun.spawnSync(command, { env: { ...process.env, LC_ALL: "C.UTF-8" } });
  if (exitCode !== 0) throw new Error(`Cannot run ${command.join(" ")}: ${stderr.toString()}`);
}

/** Writes pieces into a file of that size; the rest is holes. */
async function sparse(
  path: string,
  size: number,
  ...pieces: readonly (readonly [offset: number, bytes: Uint8Array])[]
) {
  await writeFile(path, "");
  await truncate(path, size);
  const handle = await (await import("node:fs/promises")).open(path, "r+");
  for (const [offset, bytes] of pieces) await handle.write(bytes, 0, bytes.length, offset);
  await handle.close();
}

async function names(root: string): Promise<void> {
  await mkdir(join(root, "directory"));
  for (const length of [1, 99, 100, 101, 155, 254, 255])
    await writeFile(join(root, "directory", "n".repeat(length)), `${length}`);
  const deep = join(root, ...Array.from({ length: 12 }, (_, i) => `level-${i}-${"d".repeat(60)}`));
  await mkdir(deep, { recursive: true });
  await writeFile(join(deep, "file"), "deep");
  await symlink(`../${"t".repeat(400)}`, join(root, "long link"));
  await link(join(deep, "file"), join(root, "hard"));
  for (const name of ["ünïcödé", "sp ace", "new\nline", "!bang", "-dash", "~", "..hidden", "a\\b"])
    await writeFile(join(root, name), name);
}

async function types(root: string): Promise<void> {
  await writeFile(join(root, "empty"), "");
  await writeFile(join(root, "one"), "1");
  await writeFile(join(root, "block"), randomBytes(512));
  await writeFile(join(root, "large"), randomBytes(3_000_001));
  for (const [name, mode] of [
    ["suid", 0o4755],
    ["sgid", 0o2755],
    ["sticky", 0o1777],
    ["none", 0],
  ] as const) {
    await writeFile(join(root, name), name);
    await chmod(join(root, name), mode);
  }
  await mkdir(join(root, "sgid dir"));
  await chmod(join(root, "sgid dir"), 0o3770);
  run("mknod", join(root, "pipe"), "p");
  run("mknod", join(root, "null"), "c", "1", "3");
  run("mknod", join(root, "disk"), "b", "259", "70000");
  await symlink("one", join(root, "soft"));
  await symlink("/nowhere", join(root, "dangling"));
  for (const i of [1, 2, 3]) await link(join(root, "one"), join(root, `one-${i}`));
  await link(join(root, "soft"), join(root, "soft-hard"));
  await chown(join(root, "block"), 12345, 54321);
  await chown(join(root, "large"), 3_000_000, 4_000_000_000);
}

async function times(root: string): Promise<void> {
  const when: readonly (readonly [string, number])[] = [
    ["old", 0.5],
    ["before 1970", -86400.25],
    ["future", 5_000_000_000.125],
    ["now", 1_700_000_000.999],
  ];
  for (const [name, seconds] of when) {
    await writeFile(join(root, name), name);
    await utimes(join(root, name), seconds, seconds);
  }
  await symlink("old", join(root, "link"));
  await lutimes(join(root, "link"), 1234.5, 1234.5);
}

async function xattrs(root: string): Promise<void> {
  const path = (name: string) => join(root, name);
  await writeFile(path("caps"), "#!");
  run("setcap", "cap_net_raw,cap_net_bind_service+ep", path("caps"));
  await writeFile(path("user"), "u");
  run("setfattr", "-n", "user.plain", "-v", "value", path("user"));
  run("setfattr", "-n", "user.empty", path("user"));
  run("setfattr", "-n", "user.binary", "-v", "0x00ff0a3d20", path("user"));
  await mkdir(path("trusted"));
  run("setfattr", "-n", "trusted.thing", "-v", "t", path("trusted"));
  await writeFile(path("many"), "m");
  for (let i = 0; i < 20; i++) run("setfattr", "-n", `user.attribute-${i}`, "-v", "v".repeat(i * 7), path("many"));
  await symlink("many", path("link"));
  run("setfattr", "-h", "-n", "trusted.onlink", "-v", "1", path("link"));
}

async function sparseFiles(root: string): Promise<void> {
  await sparse(join(root, "hole"), 10 << 20);
  await sparse(join(root, "tail"), 1 << 20, [0, randomBytes(4096)]);
  await sparse(join(root, "middle"), 3 << 20, [1 << 20, randomBytes(8192, 2)]);
  await sparse(join(root, "odd"), (1 << 20) + 777, [8192, randomBytes(4096, 3)], [1 << 20, randomBytes(777, 4)]);
  await sparse(
    join(root, "many"),
    8 << 20,
    ...Array.from({ length: 60 }, (_, i) => [i * 131072 + 65536, randomBytes(4096, i + 9)] as const),
  );
  await writeFile(join(root, "after"), "the next entry");
}

async function directories(root: string): Promise<void> {
  for (const count of [0, 1, 20, 40, 1500]) {
    const directory = join(root, `with ${count}`);
    await mkdir(directory);
    await Promise.all(Array.from({ length: count }, (_, i) => writeFile(join(directory, `file number ${i}`), "")));
  }
}

const TREES: readonly (readonly [what: string, make: (root: string) => Promise<void>])[] = [
  ["long and strange names", names],
  ["all types of files", types],
  ["times", times],
  ["extended attributes", xattrs],
  ["sparse files", sparseFiles],
  ["large directories", directories],
];

const GNU: readonly (readonly [what: string, options: readonly string[]])[] = [
  ["pax", ["--format=posix", "--xattrs", "--xattrs-include=*"]],
  ["gnu", ["--format=gnu"]],
  ["gnu, sparse", ["--format=gnu", "--sparse"]],
  ["pax, sparse 0.0", ["--format=posix", "--sparse", "--sparse-version=0.0"]],
  ["pax, sparse 0.1", ["--format=posix", "--sparse", "--sparse-version=0.1"]],
  ["pax, sparse 1.0", ["--format=posix", "--sparse", "--sparse-version=1.0"]],
];

const DRIVERS = [
  ["erofs", ErofsSnapshotter],
  ["overlay", OverlaySnapshotter],
] as const;

/** What GNU tar extracts from a tar, and what a snapshot of it shows. */
async function compare(
  Driver: typeof ErofsSnapshotter | typeof OverlaySnapshotter,
  tar: Buffer,
  place: string,
): Promise<void> {
  const path = join(place, "layer.tar");
  const extracted = join(place, "extracted");
  await writeFile(path, tar);
  await mkdir(extracted);
  run("tar", "-C", extracted, "-xpf", path, "--numeric-owner", "--xattrs", "--xattrs-include=*");
  const snapshotter = new Driver({ root: join(place, "root"), runRoot: join(place, "run"), workers });
  await snapshotter.unpack(path, digestOf(tar));
  await snapshotter.prepare("s", [digestOf(tar)]);
  const target = join(place, "mnt");
  await using _ = await mounted(snapshotter, "s", target);
  expect(await treeOf(target)).toEqual(await treeOf(extracted));
}

for (const [driver, Driver] of DRIVERS)
  describe(driver, () => {
    for (const [what, make] of TREES)
      for (const [format, options] of GNU)
        test(`a snapshot shows ${what} as GNU tar extracts them, format ${format}`, async () => {
          await using place = await makeFolder();
          const source = join(place.path, "source");
          await mkdir(source);
          await make(source);
          const tar = join(place.path, "made.tar");
          run("tar", "-C", source, "-cf", tar, "--numeric-owner", ...options, ".");
          await compare(Driver, Buffer.from(await Bun.file(tar).bytes()), place.path);
        });
  });

const PYTHON = `
import io, sys, tarfile
out = tarfile.open(sys.argv[1], "w", format=getattr(tarfile, sys.argv[2]))
def add(name, data=b"", **attributes):
    info = tarfile.TarInfo(name)
    info.size = len(data)
    for key, value in attributes.items():
        setattr(info, key, value)
    out.addfile(info, io.BytesIO(data))
add("plain", b"plain")
add("big-ids", b"x", uid=3000000000, gid=2999999999)
add("d" * 60, type=tarfile.DIRTYPE, mode=0o755)
add("d" * 60 + "/" + "e" * 80, type=tarfile.DIRTYPE, mode=0o755)
add("d" * 60 + "/" + "e" * 80 + "/" + "f" * 99, b"long")
add("old-directory/", type=tarfile.AREGTYPE)
add("contiguous", b"c" * 600, type=tarfile.CONTTYPE)
add("time", b"t", mtime=1234567890)
add("hard", type=tarfile.LNKTYPE, linkname="plain")
add("soft", type=tarfile.SYMTYPE, linkname="plain")
add("twice", b"first")
add("twice", b"second")
out.close()
`;

for (const [driver, Driver] of DRIVERS)
  for (const format of ["USTAR_FORMAT", "GNU_FORMAT", "PAX_FORMAT"])
    test(`${driver}: a snapshot shows what Python's tarfile wrote as GNU tar extracts it, ${format}`, async () => {
      await using place = await makeFolder();
      const tar = join(place.path, "made.tar");
      const script = format === "USTAR_FORMAT" ? PYTHON.replace(/^add\("big-ids.*$/m, "") : PYTHON;
      run("python3", "-c", script, tar, format);
      await compare(Driver, Buffer.from(await Bun.file(tar).bytes()), place.path);
    });

test("unpack() takes plain tars, many gzip members, and many zstd frames", async () => {
  await using place = await makeFolder();
  const source = join(place.path, "source");
  await mkdir(source);
  await types(source);
  const made = join(place.path, "made.tar");
  run("tar", "-C", source, "-cf", made, ".");
  const tar = Buffer.from(await Bun.file(made).bytes());
  const cut = [tar.subarray(0, 1_000_001), tar.subarray(1_000_001, 1_000_002), tar.subarray(1_000_002)];
  const blobs = [
    tar,
    Buffer.concat(cut.map((part) => Bun.gzipSync(part))),
    Buffer.concat(cut.map((part) => zstdCompressSync(part))),
  ];
  for (const [i, blob] of blobs.entries()) {
    const path = join(place.path, `blob${i}`);
    await writeFile(path, blob);
    const root = join(place.path, `root${i}`);
    const snapshotter = new ErofsSnapshotter({ root, runRoot: join(place.path, "run"), workers });
    await snapshotter.unpack(path, digestOf(tar));
    const kept = await Bun.file(join(root, "layers", digestOf(tar).slice(7), "tar")).bytes();
    expect(Buffer.compare(kept, tar)).toBe(0);
  }
});
