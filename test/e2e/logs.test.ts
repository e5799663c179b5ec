/** `docker logs`: what a program printed, read back; and the json-file on the disk, which other tools read too. */

import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { e2e } from "../support/e2e.ts";

e2e("docker logs", (engine) => {
  const { docker, ok, inspect } = engine;

  /** A container that has run to its end. */
  const ran = async (script: string, ...flags: readonly string[]): Promise<string> => {
    const id = await ok("run", "-d", "--network", "none", ...flags, "busybox", "sh", "-c", script);
    await ok("wait", id);
    return id;
  };

  test("logs tells what was printed, each on its stream", async () => {
    const id = await ran("echo out; echo err >&2; printf unfinished");
    expect(await docker("logs", id)).toEqual({ code: 0, stdout: "out\nunfinished", stderr: "err\n" });
  });

  test("logs --details tells the labels and variables that the log's options name", async () => {
    const options = ["--log-opt", "labels=tier", "--log-opt", "env=MODE", "--log-opt", "tag={{.Name}}"];
    const flags = ["--name", "told", "--label", "tier=front", "-e", "MODE=a b", ...options];
    const id = await ran("echo x", ...flags);
    expect(await ok("logs", "--details", id)).toBe("MODE=a+b,tag=told,tier=front x");
    expect(await ok("logs", id)).toBe("x");
    const path = await inspect(id, "{{.LogPath}}");
    expect(JSON.parse(readFileSync(path, "utf8")).attrs).toEqual({ tier: "front", MODE: "a b", tag: "told" });
  });

  test("logs --tail tells the last lines", async () => {
    const id = await ran("seq 1 100");
    expect(await ok("logs", "--tail", "3", id)).toBe("98\n99\n100");
    expect(await ok("logs", "-n", "0", id)).toBe("");
    expect((await ok("logs", "--tail", "all", id)).split("\n").length).toBe(100);
    expect((await ok("logs", "--tail", "1000", id)).split("\n").length).toBe(100);
  });

  test("logs -t puts a time of nine digits before every line, and --since and --until choose by it", async () => {
    const id = await ran("echo one; sleep 0.05; echo two; sleep 0.05; echo three");
    const lines = (await ok("logs", "-t", id)).split("\n").map((line) => line.split(" "));
    expect(lines.map(([, word]) => word)).toEqual(["one", "two", "three"]);
    const times = lines.map(([time = ""]) => time);
    const [, middle = ""] = times;
    /** What was read late was read at one time, with its neighbour. */
    const said = (isMeant: (time: string) => boolean) =>
      lines.flatMap(([time = "", word]) => (isMeant(time) ? [word] : [])).join("\n");
    for (const time of times) expect(time).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z$/);
    expect(await ok("logs", "--since", middle, id)).toBe(said((time) => time >= middle));
    expect(await ok("logs", "--until", middle, id)).toBe(said((time) => time <= middle));
    expect(await ok("logs", "--since", middle, "--until", middle, id)).toBe(said((time) => time === middle));
    expect(await ok("logs", "--since", "1h", id)).toBe("one\ntwo\nthree");
    expect(await ok("logs", "--since", times[0] ?? "", "--tail", "1", id)).toBe("three");
  });

  test("logs -f follows until the program ends", async () => {
    const id = await ok("run", "-d", "-i", "--name", "followed", "busybox", "cat");
    await using follower = engine.session({}, "logs", "-f", id);
    await using writer = engine.session({}, "attach", id);
    writer.write("one\n");
    await follower.until("one\n");
    writer.write("two\n");
    await follower.until("two\n");
    await ok("kill", id);
    expect(await follower.exited).toBe(0);
    expect(follower.output).toBe("one\ntwo\n");
  });

  test("logs -f --tail begins near the end and loses nothing from there", async () => {
    const id = await ok("run", "-d", "busybox", "sh", "-c", "seq 1 20000; sleep 0.2; seq 20001 40000");
    const { stdout } = await docker("logs", "-f", "--tail", "5", id);
    const numbers = stdout.trimEnd().split("\n").map(Number);
    expect(numbers.at(-1)).toBe(40_000);
    expect(numbers.every((number, at) => at === 0 || number === (numbers[at - 1] ?? 0) + 1)).toBe(true);
  });

  test("logs of a terminal are what it showed", async () => {
    const id = await ran("echo one; echo two >&2", "-t");
    expect(await docker("logs", id)).toEqual({ code: 0, stdout: "one\r\ntwo\r\n", stderr: "" });
  });

  test("logs keeps what several runs printed", async () => {
    const id = await ran("echo again");
    await ok("start", id);
    await ok("wait", id);
    expect(await ok("logs", id)).toBe("again\nagain");
  });

  test("log-opt max-size and max-file rotate the log, and logs reads all that is kept", async () => {
    const id = await ran("seq 1 3000", "--log-opt", "max-size=20k", "--log-opt", "max-file=3");
    const path = await inspect(id, "{{.LogPath}}");
    const kept = [`${path}.2`, `${path}.1`, path].map((name) => readFileSync(name, "utf8"));
    for (const text of kept) expect(text.length).toBeLessThan((20 << 10) + 100); // rotated once a line has passed it
    const lines = kept.flatMap((text) =>
      text
        .trimEnd()
        .split("\n")
        .map((line) => JSON.parse(line)),
    );
    expect(lines.at(-1)).toMatchObject({ log: "3000\n", stream: "stdout" });
    const shown = (await ok("logs", id)).split("\n");
    expect(shown).toEqual(lines.map(({ log }) => String(log).trimEnd()));
    expect(await ok("logs", "--tail", "600", id)).toBe(shown.slice(-600).join("\n"));
  });

  test("log-driver none keeps nothing, and logs says so", async () => {
    const id = await ran("echo lost", "--log-driver", "none");
    const { code, stderr } = await docker("logs", id);
    expect(stderr).toContain("configured logging driver does not support reading");
    expect(code).toBe(1);
    expect(await inspect(id, "{{.LogPath}}")).toBe("");
  });

  test("logs needs a container that exists, and options that make sense", async () => {
    expect((await docker("logs", "nobody")).stderr).toContain("No such container: nobody");
    const unknown = await docker("create", "--log-opt", "colour=red", "busybox");
    expect(unknown.stderr).toContain("unknown log opt 'colour' for json-file log driver");
    const id = await ok("create", "busybox");
    expect(await ok("logs", id)).toBe("");
    expect((await engine.daemon.api(`/containers/${id}/logs`)).status).toBe(400);
  });

  test("logs of bytes that are no text come back readable, and long lines whole", async () => {
    const id = await ran("head -c 100000 /dev/zero | tr '\\0' x; echo; printf 'gr\\303\\274n\\n'");
    const [long, green] = (await ok("logs", id)).split("\n");
    expect(long?.length).toBe(100_000);
    expect(green).toBe("grün");
  });
});
