/** What a daemon leaves of volumes that is killed between two steps, made by hand; and one that is killed while containers use them. */

import { Database } from "bun:sqlite";
import { afterEach, expect, test } from "bun:test";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { withDaemon } from "../support/api.ts";
import { errorsIn, lastingContradictions } from "../support/audit.ts";

withDaemon("what a killed daemon leaves of volumes", (api) => {
  const path = (...names: string[]) => join(api.daemon.dataRoot, "volumes", ...names);
  const volumes = async (): Promise<string[]> => {
    const { Volumes } = await api.daemon.json<{ Volumes: { Name: string }[] }>("/volumes");
    return Volumes.map(({ Name }) => Name);
  };

  /** Kills the daemon, does what it would have done or not, and starts the next one. */
  async function meanwhile(act: () => unknown): Promise<void> {
    await api.daemon.stop("SIGKILL");
    await act();
    await api.daemon.launch();
  }

  /** While no daemon runs. */
  function run(sql: string, ...values: string[]): void {
    using database = new Database(join(api.daemon.dataRoot, "bosun.db"));
    database.run(sql, values);
  }

  afterEach(async () => {
    await api.remove("it");
    for (const name of await volumes()) await api.send("DELETE", `/volumes/${name}`);
    expect(await lastingContradictions(api.daemon)).toEqual([]);
    expect(errorsIn(api.daemon.log)).toEqual([]);
  });

  const host = { NetworkMode: "none", Binds: ["/anonymous", "named:/named"] };

  test("a removal that was to take anonymous volumes along does so", async () => {
    await api.run("it", ["true"], { host });
    await api.wait("it", "not-running");
    expect((await volumes()).length).toBe(2);
    await meanwhile(() =>
      run(
        "UPDATE containers SET record = json_set(record, '$.state.phase', 'removing', '$.takesVolumes', json('true'))",
      ),
    );
    expect(await volumes()).toEqual(["named"]);
  });

  test("an anonymous volume whose container was never written goes, with its files", async () => {
    const record = { name: "f".repeat(64), driver: "local", created: "", options: {}, labels: {}, anonymous: true };
    await meanwhile(() => {
      run("INSERT INTO volumes VALUES (?, ?)", record.name, JSON.stringify({ ...record, pendingFor: "nobody" }));
      mkdirSync(path(record.name, "_data", "half"), { recursive: true });
    });
    expect(await volumes()).toEqual([]);
    expect(existsSync(path(record.name))).toBe(false);
  });

  test("files that were on their way out, or in, are gone; those of a volume are not", async () => {
    await api.send("POST", "/volumes/create", { Name: "named" });
    await meanwhile(() => {
      mkdirSync(path(".rm-old", "_data"), { recursive: true });
      mkdirSync(path("named", "new-data"), { recursive: true });
      writeFileSync(path("named", "_data", "a"), "kept");
    });
    expect(existsSync(path(".rm-old")) || existsSync(path("named", "new-data"))).toBe(false);
    expect(readFileSync(path("named", "_data", "a"), "utf8")).toBe("kept");
  });

  test("a container runs on with its volumes, which are in use for the next daemon as well", async () => {
    const id = await api.run("it", ["sh", "-c", "echo x > /named/log; echo up; sleep 1000"], { host });
    await api.says("it", /up\n/);
    await meanwhile(() => {});
    const answer = await api.daemon.api("/volumes/named", { method: "DELETE" });
    expect([answer.status, await answer.json()]).toEqual([
      409,
      { message: `remove named: volume is in use - [${id}]` },
    ]);
    expect(readFileSync(path("named", "_data", "log"), "utf8")).toBe("x\n");
  });
});
