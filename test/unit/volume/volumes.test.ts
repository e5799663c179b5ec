/** Who uses a volume, and what a daemon that died leaves of it. */

import { afterEach, beforeEach, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { kindOf } from "../../../src/base/errors.ts";
import { Database } from "../../../src/store/database.ts";
import { LocalDriver } from "../../../src/volume/driver-local.ts";
import { VolumeDrivers } from "../../../src/volume/drivers.ts";
import { volumeMigrations } from "../../../src/volume/records.ts";
import { type NewVolume, Volumes } from "../../../src/volume/volumes.ts";
import { type Folder, makeFolder } from "../../support/folder.ts";

let folder: Folder;
let told: string[] = [];
beforeEach(async () => {
  folder = await makeFolder();
  told = [];
});
afterEach(() => folder[Symbol.asyncDispose]());

/** As a daemon opens them; opened again, it is the next one. */
const open = (): Volumes =>
  new Volumes({
    database: new Database(`${folder.path}/db`, volumeMigrations),
    drivers: new VolumeDrivers([new LocalDriver(`${folder.path}/volumes`)]),
    emit: (action, name) => void told.push(`${action} ${name}`),
  });
const named = (name: string | undefined, pendingFor?: string): NewVolume => ({
  name,
  driver: "",
  options: {},
  labels: {},
  ...(pendingFor !== undefined && { pendingFor }),
});
const namesOf = (volumes: Volumes) => volumes.list().map(({ name }) => name);

test("an anonymous volume of a container that never came about goes at the next start", async () => {
  const before = open();
  const { name } = await before.use(named(undefined, "c1"), "c1");
  await before.use(named("box", "c1"), "c1");
  const after = open();
  await after.sweep();
  expect(namesOf(after)).toEqual(["box"]); // somebody may have meant it
  expect(existsSync(`${folder.path}/volumes/${name}`)).toBe(false);
});

test("an anonymous volume stays once its container is on record, whether that was noted or not", async () => {
  const before = open();
  const noted = await before.use(named(undefined, "c1"), "c1");
  before.settle("c1");
  const unnoted = await before.use(named(undefined, "c2"), "c2");
  const after = open();
  after.restore("c2", [unnoted.name], false);
  await after.sweep();
  const next = open(); // now none of their containers is there any more
  await next.sweep();
  expect(namesOf(next).toSorted()).toEqual([noted.name, unnoted.name].toSorted());
});

test("a volume is unmounted with the last container that had it", async () => {
  const volumes = open();
  for (const id of ["c1", "c2"]) await volumes.use(named("box"), id);
  await volumes.mount("box", "c1");
  await volumes.mount("box", "c2");
  await volumes.unmount("c1");
  expect([...volumes.mountPoints()].length).toBe(1);
  await volumes.unmount("c2");
  await volumes.unmount("c2");
  expect([...volumes.mountPoints()].length).toBe(0);
  expect(told).toEqual(["create box", "mount box", "mount box", "unmount box", "unmount box"]);
});

test("two who remove and use a volume at once do not come between each other", async () => {
  const volumes = open();
  await volumes.create(named("box"));
  const [removed, used] = await Promise.all([
    volumes.remove("box").then(() => "removed", kindOf),
    volumes.use(named("box"), "c1"),
  ]);
  expect([removed, used.name, namesOf(volumes)]).toEqual(["removed", "box", ["box"]]);
  expect(existsSync(volumes.path(used))).toBe(true);
});

test.each(["a", "-a", "a/b", "..", "a b", "ä1", "x".repeat(256)])("a volume cannot be called %p", async (name) => {
  expect(
    await open()
      .create(named(name))
      .then(() => "created", kindOf),
  ).toBe("invalid");
});
