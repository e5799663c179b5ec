/** Where the snapshotters' suites work, and what they work on. */

import { file, folder, layerOf, symlink as link, type TestLayer, tarOf } from "../../bench/fixture/tar.ts";
import { kindOf } from "../../src/base/errors.ts";
import type { Snapshotter } from "../../src/store/snapshot.ts";

export const BASE = layerOf(
  tarOf(
    folder("./", { mode: 0o755 }),
    folder("etc/", { mode: 0o750, uid: 5, gid: 6 }),
    file("etc/passwd", "root\n"),
    file("etc/group", "wheel\n"),
    folder("opt/"),
    folder("opt/app/"),
    file("opt/app/a", "a"),
    file("opt/app/b", "b"),
    link("bin", "usr/bin"),
    folder("usr/bin/"),
    file("usr/bin/sh", "#!"),
  ),
);
export const TOP = layerOf(
  tarOf(file("etc/.wh.group"), file("opt/app/.wh..wh..opq"), file("opt/app/c", "c"), file("new", "n")),
);

export interface Setup {
  readonly snapshotter: Snapshotter;
  readonly root: string;
  /** Tops are whole trees rather than upper directories of overlays. */
  readonly whole: boolean;
  /** @returns what the next daemon has in the same place */
  reopen(): Snapshotter;
  /** Unpacks a layer. */
  add(layer: TestLayer): Promise<void>;
  /** Mounts a snapshot at a new place. */
  mount(key: string): Promise<AsyncDisposable & { readonly path: string }>;
}

/** Gives a test a snapshotter of its own in an empty place. */
export type WithSnapshotter = (body: (setup: Setup) => Promise<void>) => () => Promise<void>;

/** Of a failure. */
export const kind = (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    () => "none",
    (error: unknown) => kindOf(error),
  );

export async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}
