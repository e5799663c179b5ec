/** A hundred containers at once, a daemon that is killed under them, and hundreds that come and go: everything is found again, and nothing grows. */

import { afterAll, beforeAll, expect, test } from "bun:test";
import { readdirSync, readFileSync, readlinkSync, rmSync } from "node:fs";
import { withDaemon } from "../support/api.ts";
import { lastingContradictions } from "../support/audit.ts";
import { type Folder, makeFolder } from "../support/folder.ts";
import { until } from "../support/patience.ts";

const MANY = 100;
const AT_ONCE = 8;

/** Does `act` for 0 to count - 1, so many at once. */
async function times(count: number, atOnce: number, act: (index: number) => Promise<unknown>): Promise<void> {
  let next = 0;
  const worker = async () => {
    while (next < count) await act(next++);
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
}

withDaemon("a hundred containers", (api) => {
  const script = (index: number) => `trap 'exit ${index}' TERM; echo ${index}; while :; do sleep 1000 & wait; done`;
  const host = { NetworkMode: "bridge" };
  const name = (index: number) => `many-${index}`;
  const running = async () => (await api.daemon.json<unknown[]>("/containers/json")).length;

  test("start side by side, each with an address of its own", async () => {
    await times(MANY, AT_ONCE, (index) => api.run(name(index), ["sh", "-c", script(index)], { host }));
    expect(await running()).toBe(MANY);
    expect(await lastingContradictions(api.daemon)).toEqual([]); // addresses are among it
  });

  test("are all found again by the daemon after one that was killed, soon", async () => {
    await api.daemon.stop("SIGKILL");
    const began = performance.now();
    await api.daemon.launch();
    expect(performance.now() - began).toBeLessThan(5000); // a tenth of a second, on a machine that is not busy
    expect(await running()).toBe(MANY);
    expect(await lastingContradictions(api.daemon)).toEqual([]);
  });

  test("end all at once, each with its own exit code", async () => {
    const half = MANY / 2;
    await times(half, half, (index) => api.send("POST", `/containers/${name(index)}/stop?t=10`));
    for (let index = 0; index < half; index++) expect((await api.inspect(name(index))).State.ExitCode).toBe(index);
    expect(await lastingContradictions(api.daemon)).toEqual([]);
  });

  test("are removed all at once, those that run as well", async () => {
    await times(MANY, MANY, (index) => api.remove(name(index)));
    expect(await lastingContradictions(api.daemon)).toEqual([]);
  });
});

let folder: Folder | undefined;
const { BUN_OPTIONS: before } = process.env;
beforeAll(async () => {
  folder = await makeFolder();
});
afterAll(() => folder?.[Symbol.asyncDispose]());

withDaemon("hundreds that come and go", (api) => {
  const heapFile = () => `${folder?.path}/heap`;

  beforeAll(async () => {
    process.env.BUN_OPTIONS = `--preload ${new URL("../support/heap.ts", import.meta.url).pathname}`;
    process.env.HEAP_FILE = heapFile();
    try {
      await api.daemon.restart();
    } finally {
      delete process.env.HEAP_FILE;
      if (before === undefined) delete process.env.BUN_OPTIONS;
      else process.env.BUN_OPTIONS = before;
    }
  });

  /** Objects that the daemon keeps. */
  async function objects(): Promise<number> {
    rmSync(heapFile(), { force: true });
    process.kill(api.daemon.pid, "SIGUSR2");
    for (let tries = 0; tries < 1000; tries++) {
      await Bun.sleep(5);
      const text = readFileIfThere(heapFile());
      if (text) return Number(text);
    }
    throw new Error("the daemon does not count its objects");
  }

  /** What descriptors of the daemon are of, but for clients' connections. */
  function descriptors(): string[] {
    const folder = `/proc/${api.daemon.pid}/fd`;
    const goals = readdirSync(folder).map((fd) => readlinkIfThere(`${folder}/${fd}`));
    return goals.filter((goal) => goal !== "" && !goal.startsWith("socket:")).sort();
  }

  const held = () => [...descriptors(), ...zombies()];

  /** Waits for a moment in which the daemon holds nothing more than before: what is open only while something is read or ends goes soon. @returns what does not */
  async function more(before: readonly string[]): Promise<string[]> {
    let found: string[] = [];
    const isNothing = () => {
      found = without(held(), before);
      return found.length === 0;
    };
    await until("nothing more is open", isNothing).catch(() => {}); // who looks at `found` says what is
    return found;
  }

  const host = { NetworkMode: "bridge", AutoRemove: true };

  async function come(index: number): Promise<void> {
    const id = await api.create(`brief-${index}`, ["true"], { host });
    const removed = api.wait(id, "removed");
    await api.start(id);
    await removed;
  }

  async function fail(index: number): Promise<void> {
    await api.create(`brief-${index}`, ["nope"], { host });
    await api.refusalOf(api.start(`brief-${index}`));
  }

  async function execute(): Promise<void> {
    await api.exec("host", ["true"]);
  }

  test.each([
    ["run --rm", 300, come],
    ["a start that fails", 100, fail],
    ["a question", 3000, () => api.send("GET", "/_ping")],
    ["a list of containers", 300, () => api.send("GET", "/containers/json?all=1")],
    ["exec", 100, execute],
  ])("%s leaves nothing in the daemon's memory, nor a descriptor", async (what, count, act) => {
    if (what === "exec") await api.run("host", ["sleep", "1000"]);
    await times(count / 2, 4, act); // what is made once: code, caches, connections
    const before = held();
    // An exec can be asked about for some minutes after its end, and weighs little.
    const fine = what === "exec" ? 40 : 2;
    let objectsEach = Number.POSITIVE_INFINITY;
    // A leak grows every time. A cache that fills, or the engine's code that is compiled again, does not.
    for (let round = 0; round < 4 && objectsEach >= fine; round++) {
      const earlier = await objects();
      await times(count, 4, act);
      objectsEach = Math.min(objectsEach, ((await objects()) - earlier) / count);
    }
    expect(objectsEach).toBeLessThan(fine);
    expect(await more(before)).toEqual([]);
    await api.remove("host");
  });

  /** Children that nobody has reaped. Source: proc_pid_stat(5). */
  function zombies(): string[] {
    const stats = readdirSync("/proc").map((pid) => (/^\d+$/.test(pid) ? readFileIfThere(`/proc/${pid}/stat`) : ""));
    return stats.filter((stat) => stat.includes(`) Z ${api.daemon.pid} `));
  }
});

function readFileIfThere(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}

/** What is more often in the first than in the other. */
function without(some: readonly string[], others: readonly string[]): string[] {
  const left = [...others];
  return some.filter((one) => {
    const at = left.indexOf(one);
    if (at >= 0) left.splice(at, 1);
    return at < 0;
  });
}

/** A descriptor may be closed while it is looked at. */
function readlinkIfThere(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return "";
  }
}
