/** Volumes over the API: what clients match on, and who uses what. */

import { afterEach, beforeEach, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { volumeUsage } from "../../src/api/volumes.ts";
import { actionsOf, House } from "../support/house.ts";

let house: House;
beforeEach(async () => {
  house = await House.open();
});
afterEach(() => house[Symbol.asyncDispose]());

const namesOf = async (query = ""): Promise<string[]> => {
  const { body } = await house.json(`GET /v1.47/volumes${query}`);
  const list: unknown[] = Array.isArray(body.Volumes) ? body.Volumes : [];
  return list.map((volume) => String(Object(volume).Name));
};
const filters = (values: object): string => `?filters=${encodeURIComponent(JSON.stringify(values))}`;
const make = (Name: string, more: object = {}) => house.json("POST /volumes/create", { Name, ...more });

test("a volume is made once, and shown as it is", async () => {
  const first = await make("box", { Labels: { a: "b" } });
  expect(first.status).toBe(201);
  expect(first.body).toMatchObject({
    Name: "box",
    Driver: "local",
    Labels: { a: "b" },
    Options: null,
    Scope: "local",
    Mountpoint: `${house.folder.path}/volumes/box/_data`,
  });
  expect(await make("box")).toEqual(first);
  expect((await house.json("GET /volumes/box")).body).toEqual(first.body);
});

test.each<[line: string, body: object | undefined, status: number, message: string]>([
  ["GET /volumes/none", undefined, 404, "get none: no such volume"],
  ["DELETE /volumes/none", undefined, 404, "get none: no such volume"],
  ["POST /volumes/create", { Name: "box", Driver: "nfs9" }, 404, 'plugin "nfs9" not found'],
  ["POST /volumes/create", { Name: "box", DriverOpts: { a: "b" } }, 400, 'invalid option: "a"'],
  ["GET /volumes?filters=%7B%22size%22%3A%5B%5D%7D", undefined, 400, "invalid filter 'size'"],
])("%s is refused", async (line, body, status, message) => {
  const answer = await house.json(line, body);
  expect([answer.status, answer.body.message]).toEqual([status, message]);
});

test("force makes a missing volume none to complain about", async () => {
  expect((await house.json("DELETE /volumes/none?force=1")).status).toBe(204);
});

test("lists are filtered by name, label, driver and whether somebody uses it", async () => {
  await make("one", { Labels: { kind: "a" } });
  await make("two", { Labels: { kind: "b" } });
  await house.create(["sleep"], { HostConfig: { Binds: ["two:/x"] } });
  expect(await namesOf()).toEqual(["one", "two"]);
  expect(await namesOf(filters({ name: ["wo"] }))).toEqual(["two"]);
  expect(await namesOf(filters({ label: ["kind=a"] }))).toEqual(["one"]);
  expect(await namesOf(filters({ driver: ["other"] }))).toEqual([]);
  expect(await namesOf(filters({ dangling: ["true"] }))).toEqual(["one"]);
  expect(await namesOf(filters({ dangling: ["0"] }))).toEqual(["two"]);
});

test("a volume in use stays until the container is gone, stopped or not", async () => {
  const id = await house.create(["sleep"], { HostConfig: { Binds: ["box:/x"] } });
  const answer = await house.json("DELETE /volumes/box?force=1");
  expect([answer.status, answer.body.message]).toEqual([409, `remove box: volume is in use - [${id}]`]);
  await house.json(`DELETE /containers/${id}?v=1`);
  expect(await namesOf()).toEqual(["box"]); // somebody has named it
  expect((await house.json("DELETE /volumes/box")).status).toBe(204);
});

test("the image's volumes are made, filled, and removed with the container when that is asked for", async () => {
  const first = await house.create([], { Image: "keeper", Volumes: { "/more": {} } });
  expect(house.copiedUp.toSorted()).toEqual(["/data", "/logs", "/more"]);
  const names = await namesOf();
  expect(names.length).toBe(3);
  const { body } = await house.json(`GET /containers/${first}/json`);
  expect(body.Mounts).toMatchObject([
    { Type: "volume", Destination: "/data", Driver: "local", Mode: "", RW: true, Propagation: "" },
    { Destination: "/logs" },
    { Destination: "/more" },
  ]);
  const listed = await house.ask("GET /containers/json?all=1");
  expect(await listed.response.json()).toMatchObject([{ Mounts: [{ Type: "volume", Driver: "local" }, {}, {}] }]);
  await house.json(`DELETE /containers/${first}`);
  expect(await namesOf()).toEqual(names);
  const second = await house.create([], { Image: "keeper" });
  await house.json(`DELETE /containers/${second}?v=1`);
  expect(await namesOf()).toEqual(names);
});

test("a creation that fails leaves no anonymous volume", async () => {
  house.snapshotter.prepare = () => Promise.reject(new Error("no disk"));
  await expect(house.create([], { Image: "keeper" })).rejects.toThrow("500");
  expect(await namesOf()).toEqual([]);
});

test("--volumes-from takes all of a stopped container's mounts, read-only when asked", async () => {
  const owner = await house.create([], {
    Image: "keeper",
    HostConfig: { Binds: [`${house.folder.path}:/host`, "named:/named"] },
  });
  const guest = await house.create(["sleep"], { HostConfig: { VolumesFrom: [`${owner}:ro`], Binds: ["own:/named"] } });
  const { body } = await house.json(`GET /containers/${guest}/json`);
  const mounts: { Destination: string; Name?: string; RW: boolean }[] = Array.isArray(body.Mounts) ? body.Mounts : [];
  expect(mounts.map(({ Destination, RW }) => [Destination, RW])).toEqual([
    ["/host", false],
    ["/data", false],
    ["/logs", false],
    ["/named", true],
  ]);
  expect(mounts.at(-1)?.Name).toBe("own");
  await house.json(`DELETE /containers/${owner}?v=1`);
  expect((await namesOf()).length).toBe(4); // the guest has them still
  await house.json(`DELETE /containers/${guest}?v=1`);
  expect(await namesOf()).toEqual(["named", "own"]);
});

test("prune takes what nobody named, and all that nobody uses when asked; before 1.42 always", async () => {
  const id = await house.create([], { Image: "keeper" });
  await make("named");
  await house.json(`DELETE /containers/${id}`);
  const kept = await house.json(`POST /v1.47/volumes/prune${filters({ label: ["a"] })}`);
  expect(kept.body.VolumesDeleted).toEqual([]);
  const first = await house.json("POST /v1.47/volumes/prune");
  expect((first.body.VolumesDeleted as string[]).length).toBe(2);
  expect(await namesOf()).toEqual(["named"]);
  await house.json(`POST /v1.47/volumes/prune${filters({ all: ["true"] })}`);
  expect(await namesOf()).toEqual([]);
  await make("old");
  expect((await house.json("POST /v1.41/volumes/prune")).body.VolumesDeleted).toEqual(["old"]);
});

test("prune leaves what options were given to, and system df does not count what is elsewhere", async () => {
  await house.json("POST /volumes/create", { Name: "remote", DriverOpts: { type: "tmpfs", device: "tmpfs" } });
  const pruned = await house.json(`POST /v1.47/volumes/prune${filters({ all: ["true"] })}`);
  expect(pruned.body.VolumesDeleted).toEqual([]);
  expect(await namesOf()).toEqual(["remote"]);
  expect(await volumeUsage(house.volumes)).toEqual([]);
});

test("events tell of volumes in order, and files go with the last", async () => {
  const id = await house.run(["exit", "0"], { HostConfig: { Binds: ["box:/x"], AutoRemove: true } });
  await house.json(`POST /containers/${id}/wait?condition=removed`).catch(() => {});
  await house.json("DELETE /volumes/box");
  const volumes = (await actionsOf(house)).filter((action) => action.startsWith("volume "));
  expect(volumes).toEqual(["volume create", "volume mount", "volume unmount", "volume destroy"]);
  expect(existsSync(`${house.folder.path}/volumes/box`)).toBe(false);
});
