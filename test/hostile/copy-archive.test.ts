/** Archives that are copied into a container: whatever they name, and whatever is there, nothing outside of its root is touched. */

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { file, folder, hardlink, symlink, type TarEntry, tarOf } from "../../bench/fixture/tar.ts";
import { messageOf } from "../../src/base/errors.ts";
import { bytesOf } from "../../src/base/streams.ts";
import { untar } from "../../src/container/untar.ts";
import { type Folder, makeFolder } from "../support/folder.ts";

describe.skipIf(process.getuid?.() !== 0)("an archive on its way into a container", () => {
  let place: Folder;
  let count = 0;
  beforeAll(async () => {
    place = await makeFolder();
  });
  afterAll(() => place[Symbol.asyncDispose]());

  /** A root with a folder `in`, beside a secret. */
  const fresh = () => {
    const base = join(place.path, String(count++));
    mkdirSync(join(base, "root/in"), { recursive: true });
    mkdirSync(join(base, "root/etc"));
    mkdirSync(join(base, "etc"));
    writeFileSync(join(base, "secret"), "secret");
    return { base, root: join(base, "root") };
  };
  const into = (root: string, entries: readonly TarEntry[], options = {}) =>
    untar(bytesOf(tarOf(...entries)), { root, path: "/in" }, options).then(() => "", messageOf);
  const isUntouched = (base: string) => {
    expect(readdirSync(base).toSorted()).toEqual(["etc", "root", "secret"]);
    expect(readdirSync(join(base, "etc"))).toEqual([]);
    expect(readFileSync(join(base, "secret"), "utf8")).toBe("secret");
  };

  test.each<[attack: string, entries: readonly TarEntry[], refused: string]>([
    ["a name that climbs", [file("../../x", "x")], "it is outside of the target directory"],
    ["a name that climbs in the middle", [file("a/../../../x", "x")], "it is outside of the target directory"],
    ["a hard link that climbs", [hardlink("x", "../../secret")], "it is outside of the target directory"],
    ["a hard link to a directory", [folder("d"), hardlink("x", "d")], "EPERM"],
    ["a hard link to nothing", [hardlink("x", "none")], "ENOENT"],
    ["a file below a file", [file("a", "x"), file("a/b", "x")], "ENOTDIR"],
    ["a link in a circle", [symlink("a", "b"), symlink("b", "a"), file("a/x", "x")], "ELOOP"],
    ["a sparse file", [file("a", "x", { type: "S" })], "of a kind that is not supported"],
    ["a sparse file of pax", [file("a", "x", { pax: { "GNU.sparse.major": "1" } })], "of a kind that is not supported"],
  ])("%s is refused", async (_, entries, refused) => {
    const { base, root } = fresh();
    expect(await into(root, entries)).toContain(refused);
    isUntouched(base);
  });

  test.each<[goal: string]>([["/etc"], ["../../../../../etc"], ["../etc"]])(
    "what goes through a link to %s stays in the root",
    async (goal) => {
      const { base, root } = fresh();
      expect(await into(root, [symlink("l", goal), file("l/x", "inside"), hardlink("l/y", "l/x")])).toBe("");
      expect(readFileSync(join(root, "etc/x"), "utf8")).toBe("inside");
      expect(existsSync(join(root, "etc/y"))).toBe(true);
      isUntouched(base);
    },
  );

  test("a link that is there is replaced, and what it leads to is not written", async () => {
    const { base, root } = fresh();
    symlinkSync(join(base, "secret"), join(root, "in/a"));
    symlinkSync(base, join(root, "in/d"));
    expect(await into(root, [file("a", "mine"), folder("d"), file("d/secret", "mine")])).toBe("");
    expect(lstatSync(join(root, "in/a")).isFile()).toBe(true);
    expect(readFileSync(join(root, "in/d/secret"), "utf8")).toBe("mine");
    isUntouched(base);
  });

  test("links of the kernel lead nowhere", async () => {
    const { base, root } = fresh();
    symlinkSync("/proc/self/root", join(root, "in/r"));
    expect(await into(root, [file("r/x", "x")])).toMatch(/ENOENT|ELOOP/);
    isUntouched(base);
  });

  test("a directory that becomes a link while files go into it takes none of them out", async () => {
    const { base, root } = fresh();
    mkdirSync(join(root, "in/d"));
    const target = join(base, "etc");
    const entries = Array.from({ length: 400 }, (_, at) => [file(`d/f${at}`, "x"), file(`e/g${at}`, "x")]).flat();
    let over = false;
    const swapping = (async () => {
      for (let at = 0; !over; at++) {
        const [here, there] = at % 2 === 0 ? ["d", "was"] : ["was", "d"];
        if (at % 2 === 0) {
          renameSync(join(root, "in", here), join(root, "in", there));
          symlinkSync(target, join(root, "in/d"));
        } else {
          renameSync(join(root, "in/d"), join(root, `in/link${at}`));
          renameSync(join(root, "in", here), join(root, "in", there));
        }
        await new Promise<void>((resolve) => setImmediate(resolve));
      }
    })();
    await into(root, entries); // it may fail, for somebody is at work
    over = true;
    await swapping;
    isUntouched(base);
  });

  test("kinds stay where that is asked for", async () => {
    const { root } = fresh();
    mkdirSync(join(root, "in/d"));
    writeFileSync(join(root, "in/f"), "");
    const options = { keepKinds: true };
    expect(await into(root, [file("d", "x")], options)).toBe('cannot overwrite directory "d" with non-directory');
    expect(await into(root, [folder("f")], options)).toBe('cannot overwrite non-directory "f" with directory');
    expect(await into(root, [file("d", "x"), folder("f")])).toBe("");
  });

  test("names, times and attributes arrive byte for byte", async () => {
    const { root } = fresh();
    const odd = Buffer.from([0x61, 0xff, 0xfe, 0x62]);
    const long = `${"n".repeat(120)}/${"m".repeat(200)}`;
    const pax = { mtime: "1700000000.125", "SCHILY.xattr.user.odd": Buffer.from([0, 255, 10]) };
    expect(
      await into(root, [
        file("", "odd", { name: odd }),
        file("x", "long", { pax: { path: long } }),
        file("p", "p", { pax }),
      ]),
    ).toBe("");
    const names = readdirSync(join(root, "in"), { encoding: "buffer" });
    expect(names.some((name) => name.equals(odd))).toBe(true);
    expect(readFileSync(join(root, "in", long), "utf8")).toBe("long");
    expect(lstatSync(join(root, "in/p")).mtimeMs).toBe(1_700_000_000_125);
  });
});
