/** `docker events`: what happened, in Docker's words and order. */

import { expect, test } from "bun:test";
import { e2e } from "../support/e2e.ts";

interface Event {
  readonly Type: string;
  readonly Action: string;
  readonly Actor: { readonly ID: string; readonly Attributes: Readonly<Record<string, string>> };
  readonly timeNano: number;
}

e2e("docker events", (engine) => {
  const { docker, ok } = engine;
  const now = () => (Date.now() / 1000).toFixed(9);

  /** Everything that happened while `act` ran. */
  const during = async (act: () => Promise<unknown>, ...flags: readonly string[]): Promise<Event[]> => {
    const since = now();
    await act();
    const text = await ok("events", "--since", since, "--until", now(), "--format", "{{json .}}", ...flags);
    return text === "" ? [] : text.split("\n").map((line) => JSON.parse(line));
  };
  const told = (events: readonly Event[]) => events.map(({ Type, Action }) => `${Type} ${Action}`);

  test("a container's life is told from create to destroy", async () => {
    const events = await during(() =>
      docker("run", "--rm", "--name", "told", "--label", "a=b", "busybox", "sh", "-c", "exit 3"),
    );
    expect(told(events)).toEqual([
      "container create",
      "container attach",
      "network connect",
      "container start",
      "container die",
      "network disconnect",
      "container destroy",
    ]);
    const { Actor } = events.find(({ Action }) => Action === "die") ?? {};
    expect(Actor?.Attributes).toMatchObject({ exitCode: "3", image: "busybox", name: "told", a: "b" });
    expect(events.map(({ timeNano }) => timeNano)).toEqual(
      events.map(({ timeNano }) => timeNano).toSorted((one, other) => one - other),
    );
  });

  test("stop, restart, rename, kill and exec are told", async () => {
    const id = await ok("run", "-d", "--network", "none", "--init", "--stop-signal", "KILL", "busybox", "sleep", "100");
    const actions = async (act: () => Promise<unknown>) =>
      (await during(act, "--filter", "type=container")).map(({ Action }) => Action);
    expect(await actions(() => ok("restart", id))).toEqual(["kill", "die", "start", "restart"]);
    expect(await actions(() => ok("rename", id, "renamed"))).toEqual(["rename"]);
    expect(await actions(() => ok("exec", id, "true"))).toEqual([
      "exec_create: true ",
      "exec_start: true ",
      "exec_die",
    ]);
    expect(await actions(() => ok("stop", id))).toEqual(["kill", "die", "stop"]);
    expect(await actions(() => ok("rm", id))).toEqual(["destroy"]);
  });

  test("a commit tells of the image, its tag and the container, and a prune of what it has brought", async () => {
    const id = await ok("create", "busybox", "true");
    const events = await during(async () => {
      await ok("commit", id, "told:2");
      await ok("rm", id);
      await ok("image", "prune", "-f");
    });
    expect(told(events)).toEqual(["image create", "image tag", "container commit", "container destroy", "image prune"]);
    expect(events.at(-1)?.Actor.Attributes).toEqual({ reclaimed: "0" });
    await ok("rmi", "told:2");
  });

  test("images are told when they are tagged, untagged and deleted", async () => {
    const events = await during(async () => {
      await ok("tag", "busybox", "told:1");
      await ok("rmi", "told:1");
    });
    expect(told(events)).toEqual(["image tag", "image untag"]);
  });

  test("filters choose by type, event, container, image and label", async () => {
    const act = async () => {
      await docker("run", "--name", "one", "--label", "a=b", "busybox", "true");
      await docker("run", "--name", "two", "busybox", "true");
    };
    const since = now();
    await act();
    const until = now();
    const count = async (...filters: readonly string[]) => {
      const flags = filters.flatMap((filter) => ["--filter", filter]);
      const text = await ok("events", "--since", since, "--until", until, "--format", "{{.Action}}", ...flags);
      return text === "" ? 0 : text.split("\n").length;
    };
    expect(await count("event=start")).toBe(2);
    expect(await count("event=start", "event=die")).toBe(4);
    expect(await count("container=one", "event=start")).toBe(1);
    expect(await count("label=a=b", "event=die")).toBe(1);
    expect(await count("image=busybox", "event=create")).toBe(2);
    expect(await count("type=network")).toBe(4);
    expect(await count("type=image")).toBe(0);
    expect((await docker("events", "--until", until, "--filter", "colour=red")).stderr).toContain(
      "invalid filter 'colour'",
    );
  });

  test("events are told as they happen, to everybody who watches", async () => {
    await using one = engine.session({}, "events", "--format", "{{.Action}} {{.Actor.Attributes.name}}");
    await using other = engine.session(
      {},
      "events",
      "--filter",
      "event=create",
      "--format",
      "{{.Action}} {{.Actor.Attributes.name}}",
    );
    // Whether they watch already is not to be seen: so it happens until they have seen it.
    const seen = Promise.all([one.until("create watched"), other.until("create watched")]);
    for (let round = 0, done = false; !done; round++) {
      await ok("create", "--name", `watched${round}`, "busybox");
      done = await Promise.race([seen.then(() => true), Bun.sleep(20).then(() => false)]);
    }
    expect(other.output).not.toContain("destroy");
  });

  test("until in the past ends at once, and before since is refused", async () => {
    expect(await ok("events", "--since", "1", "--until", "2")).toBe("");
    expect((await docker("events", "--since", "20", "--until", "10")).stderr).toContain("cannot be after `until`");
  });
});
