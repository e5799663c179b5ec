import { describe, expect, test } from "bun:test";
import { type EngineEvent, Events } from "../../src/events.ts";

const actions = (events: readonly EngineEvent[]) => events.map(({ action }) => action);
const nowNs = () => BigInt(Date.now()) * 1_000_000n;

/** All events of a subscription that ends. */
const all = (events: AsyncIterable<EngineEvent>): Promise<EngineEvent[]> => Array.fromAsync(events);

describe("Events", () => {
  test("watch() replays what is kept since a time, and ends at one that is over", async () => {
    const events = new Events();
    for (const action of ["one", "two", "three"]) events.emit("container", action, "id", { a: "b" });
    const replayed = await all(events.watch({ since: 0n, until: nowNs() + 10_000_000n }));
    expect(actions(replayed)).toEqual(["one", "two", "three"]);
    expect(replayed[0]).toMatchObject({ type: "container", id: "id", attributes: { a: "b" } });
    const [, second] = replayed;
    expect(actions(await all(events.watch({ since: second?.at ?? 0n, until: second?.at ?? 0n })))).toEqual(["two"]);
  });

  test("watch() without since replays nothing", async () => {
    const events = new Events();
    events.emit("container", "before", "id");
    expect(await all(events.watch({ until: 1n }))).toEqual([]);
  });

  test("emit() gives every event a time of its own, in order", async () => {
    const events = new Events();
    for (let count = 0; count < 100; count++) events.emit("image", String(count), "id");
    const times = (
      await all(events.watch({ since: 0n, until: nowNs() + 1_000_000_000n, signal: AbortSignal.abort() }))
    ).map(({ at }) => at);
    expect(times.length).toBe(100);
    expect(times.every((at, index) => index === 0 || at > (times[index - 1] ?? 0n))).toBe(true);
  });

  test("watch() keeps the last 256", async () => {
    const events = new Events();
    for (let count = 0; count < 300; count++) events.emit("image", String(count), "id");
    const kept = actions(await all(events.watch({ since: 0n, signal: AbortSignal.abort() })));
    expect(kept.length).toBe(256);
    expect([kept.at(0), kept.at(-1)]).toEqual(["44", "299"]);
  });

  test("watch() follows, and loses nothing between replay and following", async () => {
    const events = new Events();
    events.emit("container", "kept", "id");
    const watched = events.watch({ since: 0n });
    expect((await watched.next()).value).toMatchObject({ action: "kept" });
    events.emit("container", "one", "id");
    events.emit("container", "two", "id");
    expect((await watched.next()).value).toMatchObject({ action: "one" });
    const next = Promise.all([watched.next(), watched.next()]);
    events.emit("container", "three", "id");
    expect((await next).map(({ value }) => value.action)).toEqual(["two", "three"]);
    await watched.return(undefined);
    expect(events.watchers).toBe(0);
  });

  test("watch() tells every watcher, and counts them", async () => {
    const events = new Events();
    const stop = new AbortController();
    const watchers = [1, 2, 3].map(() => all(events.watch({ signal: stop.signal })));
    expect(events.watchers).toBe(3);
    events.emit("network", "connect", "id");
    stop.abort();
    for (const seen of await Promise.all(watchers)) expect(actions(seen)).toEqual(["connect"]);
    expect(events.watchers).toBe(0);
  });

  test("watch() ends by itself when its time is over", async () => {
    const events = new Events();
    const watched = all(events.watch({ until: nowNs() + 30_000_000n }));
    events.emit("container", "in time", "id");
    expect(actions(await watched)).toEqual(["in time"]);
    events.emit("container", "too late", "id");
    expect(events.watchers).toBe(0);
  });

  test("watch() ends when it is aborted, also when it was before it began", async () => {
    expect(await all(new Events().watch({ signal: AbortSignal.abort() }))).toEqual([]);
    const stop = new AbortController();
    const watched = all(new Events().watch({ signal: stop.signal }));
    stop.abort();
    expect(await watched).toEqual([]);
  });

  test("watch() gives up on a watcher that does not read, and not on others", async () => {
    const events = new Events();
    const slow = events.watch({});
    const begun = slow.next();
    for (let count = 0; count < 20_000; count++) events.emit("container", "many", "id");
    let seen = (await begun).done ? 0 : 1;
    for await (const _ of slow) seen++;
    expect(seen).toBeGreaterThan(9_000);
    expect(seen).toBeLessThan(20_000);
    expect(events.watchers).toBe(0);
  });
});
