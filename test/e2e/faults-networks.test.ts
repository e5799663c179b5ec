/** Disks that are full, the data root's and the run root's, while containers with ports and names come, move and go. */

import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { rmSync } from "node:fs";
import { withDaemon } from "../support/api.ts";
import { lastingContradictions } from "../support/audit.ts";
import { testArchive } from "../support/busybox.ts";
import { lastingNetworkContradictions } from "../support/network-audit.ts";
import { freePort } from "../support/ports.ts";
import { makeSmallDisk, type SmallDisk, TMPFS } from "../support/small-disk.ts";

const MIB = 1 << 20;
const PORT = freePort();
const NO_SPACE = /no space left on device/;

withDaemon(
  "networks on full disks",
  (api) => {
    const disks: SmallDisk[] = [];
    const host = {
      NetworkMode: "home",
      PortBindings: { "80/tcp": [{ HostIp: "0.0.0.0", HostPort: String(PORT) }] },
    };
    const create = () => api.create("it", ["sleep", "1000"], { host });
    const connect = () => api.send("POST", "/networks/away/connect", { Container: "it" });
    const disconnect = () => api.send("POST", "/networks/away/disconnect", { Container: "it" });
    const check = async (): Promise<void> => {
      expect(await lastingContradictions(api.daemon)).toEqual([]);
      expect(await lastingNetworkContradictions(api.daemon, [PORT])).toEqual([]);
    };

    beforeAll(async () => {
      await api.daemon.stop();
      rmSync(api.daemon.dataRoot, { recursive: true });
      disks.push(await makeSmallDisk(48 * MIB, { at: api.daemon.dataRoot }));
      disks.push(await makeSmallDisk(8 * MIB, { at: api.daemon.execRoot, ...TMPFS }));
      await api.daemon.launch();
      await api.load(testArchive());
      for (const name of ["home", "away"]) await api.send("POST", "/networks/create", { Name: name });
      await api.run("other", ["sleep", "1000"], { host: { NetworkMode: "away" } });
    });
    afterAll(async () => {
      if (api.daemon.pid > 0) await api.daemon.stop("SIGKILL");
      for (const disk of disks) await disk[Symbol.asyncDispose]();
    });
    afterEach(async () => {
      for (const disk of disks) disk.clear();
      await api.remove("it");
      await check();
    });

    describe.each([
      ["data", 0],
      ["run", 1],
    ])("the %s root", (_, at) => {
      const fill = () => disks[at]?.fill();
      const clear = () => disks[at]?.clear();

      test("a start says so, leaves nothing, and works later", async () => {
        await create();
        fill();
        expect((await api.refusalOf(api.start("it")))?.message).toMatch(NO_SPACE);
        await check();
        clear();
        await api.start("it");
        expect((await api.inspect("it")).State.Running).toBe(true);
      });

      test("a connect is all or nothing, and works later", async () => {
        await create();
        await api.start("it");
        fill();
        const refusal = await api.refusalOf(connect());
        if (refusal) expect(refusal.message).toMatch(NO_SPACE);
        await check();
        clear();
        if (refusal) await connect();
        await check();
      });

      test("who leaves a network or ends is known no more, at the latest when there is room", async () => {
        await create();
        await api.start("it");
        await connect();
        fill();
        const refusal = await api.refusalOf(disconnect());
        if (refusal) expect(refusal.message).toMatch(NO_SPACE);
        await api.send("POST", "/containers/it/kill");
        await api.wait("it");
        clear();
        if (at === 0) await api.daemon.restart("SIGKILL"); // what could not be written is known by what is left
        await check();
      });

      test("a network is created or is not", async () => {
        fill();
        const refusal = await api.refusalOf(api.send("POST", "/networks/create", { Name: "more" }));
        if (refusal) expect(refusal.message).toMatch(NO_SPACE);
        clear();
        if (!refusal) await api.send("DELETE", "/networks/more");
        expect(api.daemon.bridges().length).toBe(3);
      });
    });

    test("networks without containers can be removed", async () => {
      await api.remove("other");
      for (const name of ["home", "away"]) await api.send("DELETE", `/networks/${name}`);
    });
  },
  { expected: NO_SPACE },
);
