/** Volumes of a plugin, through the docker command: made, mounted once for all, over a daemon that dies, and removed. */

import { afterAll, beforeAll, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { mkdirSync, readFileSync, rmSync } from "node:fs";
import { e2e } from "../support/e2e.ts";
import { type Folder, makeFolder } from "../support/folder.ts";
import { VolumePlugin } from "../support/volume-plugin.ts";

/** Where every engine of this host looks; the name is ours alone. */
const FOLDER = "/run/docker/plugins";
const NAME = `bosun-test-${randomBytes(4).toString("hex")}`;
const SOCKET = `${FOLDER}/${NAME}.sock`;

e2e("volume plugins", (engine) => {
  const { docker, ok } = engine;
  let folder: Folder;
  let plugin: VolumePlugin;
  beforeAll(async () => {
    folder = await makeFolder();
    mkdirSync(FOLDER, { recursive: true });
    plugin = new VolumePlugin(SOCKET, `${folder.path}/plugin`);
  });
  afterAll(async () => {
    plugin[Symbol.dispose]();
    rmSync(SOCKET, { force: true });
    await folder[Symbol.asyncDispose]();
  });
  const usersOf = (name: string): number => plugin.mounts.get(name)?.size ?? 0;

  test("a volume is made with its options, inspected, listed and removed", async () => {
    expect(await ok("volume", "create", "-d", NAME, "-o", "size=1g", "--label", "a=b", "made")).toBe("made");
    expect(plugin.volumes.get("made")).toEqual({ size: "1g" });
    const format = "{{.Driver}} {{.Mountpoint}} {{.Scope}} {{.Options}} {{.Labels}} {{.Status}}";
    expect(await ok("volume", "inspect", "-f", format, "made")).toBe(
      `${NAME} ${plugin.path("made")} global map[size:1g] map[a:b] map[mounts:0]`,
    );
    expect(await ok("volume", "ls", "-q", "-f", `driver=${NAME}`)).toBe("made");
    await ok("volume", "rm", "made");
    expect(plugin.volumes.has("made")).toBe(false);
  });

  test("containers share it: the plugin is told of the first mount and of the last one's end", async () => {
    const flags = ["--volume-driver", NAME, "-v", "shared:/data"];
    const one = await engine.sleeper(...flags);
    await ok("exec", one, "sh", "-c", "echo hello > /data/file");
    expect(readFileSync(`${plugin.path("shared")}/file`, "utf8")).toBe("hello\n");
    expect(await engine.sh("cat /data/file", "-v", "shared:/data:ro")).toBe("hello");
    expect(usersOf("shared")).toBe(1);
    await engine.daemon.restart("SIGKILL");
    const two = await engine.sleeper("--mount", "type=volume,src=shared,dst=/data");
    expect(await engine.inspect(two, "{{(index .Mounts 0).Driver}} {{(index .Mounts 0).Source}}")).toBe(
      `${NAME} ${plugin.path("shared")}`,
    );
    await ok("rm", "-f", one);
    expect(usersOf("shared")).toBe(1);
    await ok("rm", "-f", two);
    expect(usersOf("shared")).toBe(0);
    expect(plugin.calls.filter((call) => call === "Mount shared").length).toBe(2); // `fill` had it before the first container
    expect((await docker("volume", "rm", "shared")).code).toBe(0);
  });

  test("an empty volume gets what the image has there", async () => {
    expect(await engine.sh("ls /etc/passwd", "--volume-driver", NAME, "-v", "filled:/etc")).toBe("/etc/passwd");
    expect(readFileSync(`${plugin.path("filled")}/passwd`, "utf8")).toContain("root:");
    await ok("volume", "rm", "filled");
  });

  test("a volume that somebody else made with the plugin is listed, used and removed", async () => {
    await fetch("http://plugin/VolumeDriver.Create", {
      unix: SOCKET,
      method: "POST",
      body: JSON.stringify({ Name: "foreign", Opts: {} }),
    });
    expect((await ok("volume", "ls", "-q")).split("\n")).toContain("foreign");
    await engine.sh("echo x > /data/x", "-v", "foreign:/data");
    expect(readFileSync(`${plugin.path("foreign")}/x`, "utf8")).toBe("x\n");
    await ok("volume", "rm", "foreign");
    expect(plugin.volumes.has("foreign")).toBe(false);
  });

  test("what the plugin says is told, and nothing is left", async () => {
    const { stderr } = await docker("volume", "create", "-d", NAME, "-o", "refuse=because", "refused");
    expect(stderr).toContain("refused: because");
    expect((await docker("volume", "inspect", "refused")).code).toBe(1);
    const missing = await docker("run", "--volume-driver", "nobody", "-v", "x1:/x", "busybox", "true");
    expect(missing.stderr).toContain('plugin "nobody" not found');
    expect(missing.code).toBe(125);
  });

  test("a plugin that is away is a failure of its own containers alone", async () => {
    await ok("volume", "create", "-d", NAME, "away");
    plugin[Symbol.dispose]();
    const { code, stderr } = await docker("run", "--rm", "-v", "away:/x", "busybox", "true");
    expect(code).toBe(125);
    expect(stderr).toContain(`plugin "${NAME}"`);
    expect(await engine.sh("echo fine", "-v", "mine:/x")).toBe("fine");
    plugin = new VolumePlugin(SOCKET, `${folder.path}/plugin`);
    await ok("volume", "create", "-d", NAME, "away");
  });

  test("info tells of it", async () => {
    expect(await ok("info", "--format", "{{.Plugins.Volume}}")).toContain(`local`);
    expect(await ok("info", "--format", "{{.Plugins.Volume}}")).toContain(NAME);
  });
});
