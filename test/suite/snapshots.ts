/** What every implementation of the port Snapshots does. Needs root: it mounts what it makes. */

import { expect, test } from "bun:test";
import { existsSync } from "node:fs";
import {
  chmod,
  chown,
  link as hardlink,
  lstat,
  lutimes,
  mkdir,
  readdir,
  readFile,
  rename,
  rm,
  symlink,
  utimes,
  writeFile,
} from "node:fs/promises";
import { join } from "node:path";
import { file, layerOf, tarOf } from "../../bench/fixture/tar.ts";
import { type Digest, digestOf } from "../../src/base/digest.ts";
import type { StagedLayer } from "../../src/store/layers.ts";
import { failureOf } from "../support/errors.ts";
import { isMounted, mounted } from "../support/mounts.ts";
import { BASE, collect, kind, TOP, type WithSnapshotter } from "../support/snapshotter.ts";
import { treeOf } from "../support/trees.ts";

async function kept(staging: Promise<StagedLayer>): Promise<Digest> {
  await using staged = await staging;
  await staged.keep();
  return staged.diffId;
}

/** Names in a tar, as GNU tar lists them. */
async function listTar(path: string): Promise<string[]> {
  const tar = Bun.spawn(["tar", "-tf", path], { stdout: "pipe", stderr: "inherit" });
  const text = await tar.stdout.text();
  expect(await tar.exited).toBe(0);
  return text.split("\n").slice(0, -1);
}

/** Everything that a container can do to its files, below BASE and TOP. */
async function changeAll(root: string): Promise<void> {
  const at = (path: string): string => join(root, path);
  await writeFile(at("etc/passwd"), "x".repeat(3000));
  await writeFile(at("etc/group"), "again: TOP hid it");
  await rm(at("new"));
  await rm(at("opt"), { recursive: true });
  await mkdir(at("opt/app"), { recursive: true });
  await writeFile(at("opt/app/b"), "another");
  await symlink(`/etc/${"long/".repeat(30)}x`, at("soft"));
  await lutimes(at("soft"), 1, 2);
  await rm(at("bin"));
  await mkdir(at("bin"));
  await rm(at("usr/bin"), { recursive: true });
  await writeFile(at("usr/bin"), "");
  await writeFile(at("opt/hard"), "h");
  await hardlink(at("opt/hard"), at("bin/hard"));
  await chmod(at("etc"), 0o1711);
  await chown(at("etc/passwd"), 3_000_000, 4_000_000_000);
  await mkdir(at("deep/".repeat(100)), { recursive: true });
  await writeFile(at(`${"deep/".repeat(100)}${"n".repeat(255)}`), "n");
  await writeFile(at("bin/odd \n\u00e4\u00ff"), "o");
  await utimes(at("bin/odd \n\u00e4\u00ff"), 0, -1.5);
  const commands = [
    ["setcap", "cap_net_raw+ep", at("opt/hard")],
    ["setfattr", "-n", "user.a", "-v", "b\n=c", at("opt/hard")],
    ["mkfifo", at("pipe")],
    ["mknod", at("disk"), "b", "259", "70000"],
    ["chmod", "4755", at("usr/bin")],
    ["truncate", "-s", "1500000", at("holes")],
  ];
  for (const command of commands) {
    const { exitCode, stderr } = Bun.spawnSync(command);
    if (exitCode !== 0) throw new Error(`Cannot ${command.join(" ")}: ${stderr.toString()}`);
  }
}

export function snapshotsSuite(withSnapshotter: WithSnapshotter): void {
  test(
    "mounts() shows the layers merged, upper ones hiding lower ones",
    withSnapshotter(async ({ snapshotter, add, mount }) => {
      // In the wrong order: layers depend on no other.
      await add(TOP);
      await add(BASE);
      await snapshotter.prepare("c", [BASE.diffId, TOP.diffId]);
      await using at = await mount("c");
      expect((await readdir(at.path)).sort()).toEqual(["bin", "etc", "new", "opt", "usr"]);
      expect(await readdir(join(at.path, "etc"))).toEqual(["passwd"]);
      expect(await readdir(join(at.path, "opt/app"))).toEqual(["c"]);
      expect(await readFile(join(at.path, "bin/sh"), "utf8")).toBe("#!");
      expect(await lstat(join(at.path, "etc"))).toMatchObject({ uid: 0, gid: 0, mode: 0o40755 });
    }),
  );

  test(
    "mounts() gives a top that keeps what is written, also in a new process",
    withSnapshotter(async ({ snapshotter, reopen, add, mount, root }) => {
      await add(BASE);
      await snapshotter.prepare("c", [BASE.diffId]);
      {
        await using at = await mount("c");
        await writeFile(join(at.path, "etc/passwd"), "changed\n");
        await rm(join(at.path, "etc/group"));
      }
      const again = reopen();
      await again.sweep();
      const path = join(root, "again");
      await using _ = await mounted(again, "c", path);
      expect(await readFile(join(path, "etc/passwd"), "utf8")).toBe("changed\n");
      expect(existsSync(join(path, "etc/group"))).toBe(false);
    }),
  );

  test(
    "mounts() keeps two snapshots of the same layers apart",
    withSnapshotter(async ({ snapshotter, add, mount }) => {
      await add(BASE);
      await snapshotter.prepare("a", [BASE.diffId]);
      await snapshotter.prepare("b", [BASE.diffId]);
      await using a = await mount("a");
      await using b = await mount("b");
      await writeFile(join(a.path, "only-a"), "");
      expect(existsSync(join(b.path, "only-a"))).toBe(false);
    }),
  );

  for (const layers of [0, 1, 2])
    test(
      `mounts() refuses writing when the snapshot is read-only, with ${layers} layers`,
      withSnapshotter(async ({ snapshotter, add, mount }) => {
        const all = [BASE, TOP].slice(0, layers);
        for (const layer of all) await add(layer);
        await snapshotter.prepare(
          "r",
          all.map(({ diffId }) => diffId),
          { readonly: true },
        );
        await using at = await mount("r");
        expect(existsSync(join(at.path, "etc/passwd"))).toBe(layers > 0);
        await expect(writeFile(join(at.path, "x"), "")).rejects.toThrow("EROFS");
      }),
    );

  test(
    "mounts() gives an empty writable directory when there are no layers",
    withSnapshotter(async ({ snapshotter, mount }) => {
      await snapshotter.prepare("scratch", []);
      await using at = await mount("scratch");
      expect(await readdir(at.path)).toEqual([]);
      await writeFile(join(at.path, "x"), "");
      expect(await collect(snapshotter.changes("scratch"))).toEqual([{ path: "/x", kind: "added" }]);
    }),
  );

  test(
    "mounts() shows 100 layers",
    withSnapshotter(async ({ snapshotter, add, mount }) => {
      const layers = Array.from({ length: 100 }, (_, i) => layerOf(tarOf(file(`f${i}`, `${i}`), file("last", `${i}`))));
      await Promise.all(layers.map(add));
      await snapshotter.prepare(
        "many",
        layers.map(({ diffId }) => diffId),
      );
      await using at = await mount("many");
      expect((await readdir(at.path)).length).toBe(101);
      expect(await readFile(join(at.path, "last"), "utf8")).toBe("99");
    }),
  );

  test(
    "prepare() says conflict when the key is taken, notFound when a layer is missing, invalid when it is no name",
    withSnapshotter(async ({ snapshotter, add }) => {
      await add(BASE);
      await snapshotter.prepare("c", [BASE.diffId]);
      expect(await kind(snapshotter.prepare("c", [BASE.diffId]))).toBe("conflict");
      expect(await kind(snapshotter.prepare("d", [TOP.diffId]))).toBe("notFound");
      for (const key of ["", "../x", "a/b", "new-x", "rm-x"])
        expect(await kind(snapshotter.prepare(key, []))).toBe("invalid");
    }),
  );

  test(
    "mounts(), changes() and usage() say notFound when there is no such snapshot",
    withSnapshotter(async ({ snapshotter }) => {
      expect(await kind(snapshotter.mounts("no", "/mnt"))).toBe("notFound");
      expect(await kind(collect(snapshotter.changes("no")))).toBe("notFound");
      expect(await kind(snapshotter.usage("no"))).toBe("notFound");
    }),
  );

  test(
    "changes() tells what the top adds, modifies and deletes",
    withSnapshotter(async ({ snapshotter, add, mount }) => {
      await add(BASE);
      await add(TOP);
      await snapshotter.prepare("c", [BASE.diffId, TOP.diffId]);
      expect(await collect(snapshotter.changes("c"))).toEqual([]);
      {
        await using at = await mount("c");
        await writeFile(join(at.path, "etc/passwd"), "x");
        await writeFile(join(at.path, "etc/group"), "again: TOP hid it");
        await rm(join(at.path, "new"));
        await rm(join(at.path, "opt"), { recursive: true });
        await mkdir(join(at.path, "opt/fresh"), { recursive: true });
        await symlink("/etc", join(at.path, "soft"));
        await chmod(join(at.path, "usr/bin"), 0o700);
        await writeFile(join(at.path, "gone"), "");
        await rm(join(at.path, "gone"));
      }
      expect(await collect(snapshotter.changes("c"))).toEqual([
        { path: "/etc", kind: "modified" },
        { path: "/etc/group", kind: "added" },
        { path: "/etc/passwd", kind: "modified" },
        { path: "/new", kind: "deleted" },
        { path: "/opt", kind: "modified" },
        { path: "/opt/app", kind: "deleted" },
        { path: "/opt/fresh", kind: "added" },
        { path: "/soft", kind: "added" },
        { path: "/usr", kind: "modified" },
        { path: "/usr/bin", kind: "modified" },
      ]);
    }),
  );

  test(
    "changes() tells of a directory replaced by a file, and of a file replaced by a directory",
    withSnapshotter(async ({ snapshotter, add, mount }) => {
      await add(BASE);
      await snapshotter.prepare("c", [BASE.diffId]);
      {
        await using at = await mount("c");
        await rm(join(at.path, "opt"), { recursive: true });
        await writeFile(join(at.path, "opt"), "");
        await rm(join(at.path, "etc/passwd"));
        await mkdir(join(at.path, "etc/passwd"));
        await writeFile(join(at.path, "moved"), "m");
        await rename(join(at.path, "moved"), join(at.path, "etc/group"));
      }
      expect(await collect(snapshotter.changes("c"))).toEqual([
        { path: "/etc", kind: "modified" },
        { path: "/etc/group", kind: "modified" },
        { path: "/etc/passwd", kind: "modified" },
        { path: "/opt", kind: "modified" },
      ]);
    }),
  );

  test(
    "changes() leaves out what is as it was, and mount points that somebody else has made",
    withSnapshotter(async ({ snapshotter, add, mount, whole }) => {
      await add(BASE);
      await snapshotter.prepare("c", [BASE.diffId]);
      {
        await using at = await mount("c");
        await writeFile(join(at.path, "etc/gone"), "");
        await rm(join(at.path, "etc/gone"));
        await utimes(join(at.path, "usr/bin/sh"), 0, 0); // copied up, and as before
        for (const path of ["dev", "etc/hosts", "run/a/b", "opt/full"])
          if (path.endsWith("hosts")) await writeFile(join(at.path, path), "");
          else await mkdir(join(at.path, path), { recursive: true });
        await writeFile(join(at.path, "opt/full/x"), "");
        await writeFile(join(at.path, "etc/group"), "");
      }
      const except = ["/dev", "/etc/hosts", "/etc/group", "/run/a/b", "/opt/full", "/opt/app"];
      expect(await collect(snapshotter.changes("c", { except }))).toEqual([
        { path: "/etc", kind: "modified" },
        { path: "/etc/group", kind: "modified" },
        { path: "/opt", kind: "modified" },
        { path: "/opt/full", kind: "added" },
        { path: "/opt/full/x", kind: "added" },
      ]);
      const diffId = await kept(snapshotter.commit("c", { except }));
      const names = await listTar((await snapshotter.tar(diffId)).path);
      expect(names).toEqual([
        "etc/",
        "etc/group",
        "opt/",
        "opt/full/",
        "opt/full/x",
        ...(whole ? [] : ["usr/", "usr/bin/", "usr/bin/sh"]), // an upper directory has what was copied up
      ]);
    }),
  );

  test(
    "commit() makes a layer that shows what the snapshot showed",
    withSnapshotter(async ({ snapshotter, add, mount }) => {
      await add(BASE);
      await add(TOP);
      await snapshotter.prepare("c", [BASE.diffId, TOP.diffId]);
      const before = await mount("c");
      await changeAll(before.path);
      const expected = await treeOf(before.path, { times: true });
      await before[Symbol.asyncDispose]();
      await using made = await snapshotter.commit("c");
      const { diffId } = made;
      expect(await snapshotter.has(diffId)).toBe(false);
      await made.keep({ durable: true });
      expect(await kept(snapshotter.commit("c"))).toBe(diffId);
      await snapshotter.prepare("d", [BASE.diffId, TOP.diffId, diffId]);
      await using after = await mount("d");
      expect(await treeOf(after.path, { times: true })).toEqual(expected);
      expect(await collect(snapshotter.changes("d"))).toEqual([]);
    }),
  );

  test(
    "commit() makes the layer of an empty tar when nothing is changed",
    withSnapshotter(async ({ snapshotter, add }) => {
      await add(BASE);
      for (const layers of [[], [BASE.diffId]]) {
        await snapshotter.prepare(`c${layers.length}`, layers);
        expect(await kept(snapshotter.commit(`c${layers.length}`))).toBe(digestOf(Buffer.alloc(1024)));
      }
      expect(await kind(snapshotter.commit("no"))).toBe("notFound");
    }),
  );

  test(
    "commit() refuses a file that would be a whiteout, and leaves nothing",
    withSnapshotter(async ({ snapshotter, mount, root }) => {
      await snapshotter.prepare("c", []);
      {
        await using at = await mount("c");
        await mkdir(join(at.path, "d"));
        await writeFile(join(at.path, "d/.wh.x"), "");
      }
      expect(await failureOf(() => snapshotter.commit("c"))).toContain('corrupt: Cannot pack the tree at "d/.wh.x"');
      expect(await readdir(join(root, "layers"))).toEqual([]);
    }),
  );

  for (const layers of [0, 1, 2])
    test(
      `read() shows what a container sees, with ${layers} layers, while it runs and after`,
      withSnapshotter(async ({ snapshotter, add, mount }) => {
        const all = [BASE, TOP].slice(0, layers);
        for (const layer of all) await add(layer);
        await snapshotter.prepare(
          "c",
          all.map(({ diffId }) => diffId),
        );
        const at = await mount("c");
        await mkdir(join(at.path, "opt"), { recursive: true });
        await writeFile(join(at.path, "opt/mine"), "mine");
        await rm(join(at.path, "etc"), { recursive: true, force: true });
        const expected = await treeOf(at.path);
        {
          using tree = await snapshotter.read("c");
          expect(await treeOf(tree.path)).toEqual(expected);
        }
        await at[Symbol.asyncDispose]();
        await snapshotter.release(new Set());
        using tree = await snapshotter.read("c");
        expect(await treeOf(tree.path)).toEqual(expected);
        expect(await kind(snapshotter.read("no"))).toBe("notFound");
      }),
    );

  test(
    "read() shows what is under all of it, where there is nothing else",
    withSnapshotter(async ({ snapshotter, add, root }) => {
      const under = join(root, "under");
      await mkdir(join(under, "proc"), { recursive: true });
      await mkdir(join(under, "etc"));
      await writeFile(join(under, "etc/hosts"), "under");
      await writeFile(join(under, "etc/passwd"), "under");
      await add(BASE);
      await snapshotter.prepare("c", [BASE.diffId]);
      await snapshotter.prepare("bare", []);
      using tree = await snapshotter.read("c", under);
      expect((await readdir(tree.path)).sort()).toEqual(["bin", "etc", "opt", "proc", "usr"]);
      expect(await readFile(join(tree.path, "etc/hosts"), "utf8")).toBe("under");
      expect(await readFile(join(tree.path, "etc/passwd"), "utf8")).not.toBe("under");
      using bare = await snapshotter.read("bare", under);
      expect((await readdir(bare.path)).sort()).toEqual(["etc", "proc"]);
    }),
  );

  test(
    "usage() counts what is written, and each inode once",
    withSnapshotter(async ({ snapshotter, add, mount }) => {
      await add(BASE);
      await snapshotter.prepare("c", [BASE.diffId]);
      expect(await snapshotter.usage("c")).toEqual({ bytes: 0, inodes: 0 });
      {
        await using at = await mount("c");
        await writeFile(join(at.path, "file"), "x".repeat(5000));
        await mkdir(join(at.path, "dir"));
        Bun.spawnSync(["ln", join(at.path, "file"), join(at.path, "dir/same")]);
        await chown(join(at.path, "dir"), 1, 1);
      }
      expect(await snapshotter.usage("c")).toEqual({ bytes: 5000, inodes: 2 });
    }),
  );

  test(
    "removeSnapshot() takes it away, and is silent when it is gone",
    withSnapshotter(async ({ snapshotter, add, root }) => {
      await add(BASE);
      await snapshotter.prepare("c", [BASE.diffId]);
      await snapshotter.removeSnapshot("c");
      await snapshotter.removeSnapshot("c");
      await snapshotter.removeSnapshot("../layers");
      expect(await readdir(join(root, "snapshots"))).toEqual([]);
      expect(await snapshotter.has(BASE.diffId)).toBe(true);
    }),
  );

  test(
    "release() unmounts the layers that nobody needs, and no others",
    withSnapshotter(async ({ snapshotter, add, mount }) => {
      await add(BASE);
      await add(TOP);
      await snapshotter.prepare("a", [BASE.diffId]);
      await snapshotter.prepare("b", [BASE.diffId, TOP.diffId]);
      const targets = (await snapshotter.mounts("b", "/mnt")).flatMap((each) =>
        each.type === "layer" ? [each.target] : [],
      );
      await using at = await mount("a");
      {
        await using _ = await mount("b");
      }
      const state = () => Promise.all(targets.map(isMounted));
      expect(await state()).toEqual(targets.map(() => true));
      await snapshotter.release(new Set(["a"]));
      expect(await state()).toEqual([true, false].slice(0, targets.length));
      expect(await readFile(join(at.path, "etc/passwd"), "utf8")).toBe("root\n");
      await snapshotter.release(new Set());
      expect(await state()).toEqual(targets.map(() => false));
      // The container has its own reference: it is not disturbed.
      expect(await readFile(join(at.path, "etc/passwd"), "utf8")).toBe("root\n");
    }),
  );

  test(
    "a snapshot that was damaged says so, and is in nobody's way",
    withSnapshotter(async ({ reopen, snapshotter, add, root }) => {
      await add(BASE);
      for (const key of ["a", "b"]) await snapshotter.prepare(key, [BASE.diffId]);
      const path = join(root, "snapshots/a/snapshot.json");
      await writeFile(path, "{");
      const again = reopen();
      await again.sweep();
      await again.release(new Set(["a", "b"]));
      expect(await collect(again.listLayers())).toEqual([BASE.diffId]);
      expect(await failureOf(() => again.mounts("a", "/x"))).toBe(
        `corrupt: Cannot read ${path}: it is not a snapshot's record`,
      );
      for (const key of ["a", "b"]) await again.removeSnapshot(key);
      await again.removeLayer(BASE.diffId);
      expect(await collect(again.listLayers())).toEqual([]);
    }),
  );
}
