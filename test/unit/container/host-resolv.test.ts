import { expect, test } from "bun:test";
import { renameSync, symlinkSync, writeFileSync } from "node:fs";
import { HostResolv } from "../../../src/container/host-resolv.ts";
import { makeFolder } from "../../support/folder.ts";

test("HostResolv has no servers where there is no file", () => {
  using resolv = new HostResolv("/nowhere/resolv.conf");
  resolv.follow(() => {});
  expect(resolv.resolver().servers).toEqual([]);
});

test("HostResolv follows a file that is written, or put in the place of what it is a link to", async () => {
  await using folder = await makeFolder();
  const path = (name: string) => `${folder.path}/${name}`;
  writeFileSync(path("stub.conf"), "nameserver 192.0.2.1\n");
  symlinkSync("stub.conf", path("resolv.conf"));
  using resolv = new HostResolv(path("resolv.conf"));
  let tell: () => void = () => {};
  resolv.follow(() => tell());
  for (const server of ["192.0.2.2", "192.0.2.3"]) {
    const { promise, resolve } = Promise.withResolvers<void>();
    tell = () => {
      if (resolv.resolver().servers[0] === server) resolve();
    };
    writeFileSync(path("new"), `nameserver ${server}\n`);
    renameSync(path("new"), path("stub.conf"));
    await promise;
  }
  expect(resolv.resolver().servers).toEqual(["192.0.2.3"]);
});
