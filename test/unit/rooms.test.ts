/** Keeps the rooms of src/ apart: imports point down the house, and pure files stay pure. The plan is in README, "Rooms". */

import { describe, expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";

const SRC = join(import.meta.dir, "..", "..", "src");

/** From the roof to the ground; who stands in one line does not know the others. Files directly in src/ are named without `.ts`. */
const FLOORS: readonly (readonly string[])[] = [
  ["api", "oci-runtime"],
  ["container", "build"],
  ["image"],
  ["store", "registry", "runtime", "network", "volume", "log", "events"],
  ["wasm"],
  ["base"],
];

/** Commands and composition: they may import everything. */
const ROOF = [
  "main",
  "daemon",
  "reload",
  "engine",
  "facts",
  "metrics",
  "config",
  "options",
  "setup",
  "start",
  "version",
];

interface Import {
  /** Path below src/, as `api/server.ts`. */
  readonly from: string;
  /** The same, or a name as `node:fs`. */
  readonly to: string;
}

const roomOf = (path: string): string => path.split("/")[0]?.replace(/\.ts$/, "") ?? "";

/** @returns why an import may not be; undefined when it may */
export function objection({ from, to }: Import): string | undefined {
  const [room, target] = [roomOf(from), roomOf(to)];
  if (room === target) return undefined;
  if (room === "cli") return target === "base" ? undefined : "the client knows HTTP only, and base";
  if (ROOF.includes(room)) return undefined;
  if (ROOF.includes(target) || target === "cli") return "nobody imports the roof";
  const floor = (name: string) => FLOORS.findIndex((rooms) => rooms.includes(name));
  if (floor(room) < 0 || floor(target) < 0) return "there is no such room in the plan";
  return floor(room) < floor(target) ? undefined : "imports point down";
}

const sources = readdirSync(SRC, { recursive: true, encoding: "utf8" }).filter((path) => path.endsWith(".ts"));
const transpiler = new Bun.Transpiler({ loader: "ts" });

/** What a file imports when it runs: types are gone by then. */
function importsOf(path: string): readonly Import[] {
  return transpiler.scanImports(readFileSync(join(SRC, path), "utf8")).map((found) => ({
    from: path,
    to: found.path.startsWith(".") ? normalize(join(dirname(path), found.path)) : found.path,
  }));
}

const inside = ({ to }: Import): boolean => sources.includes(to);

describe("the rooms", () => {
  test("imports point down, and never between rooms of one floor", () => {
    const wrong = sources.flatMap((path) =>
      importsOf(path)
        .filter(inside)
        .flatMap((one) => (objection(one) ? [`${one.from} imports ${one.to}: ${objection(one)}`] : [])),
    );
    expect(wrong).toEqual([]);
    expect(sources.length).toBeGreaterThan(80); // it does look at something
  });

  test("every file is in a room of the plan", () => {
    const known = new Set([...FLOORS.flat(), ...ROOF, "cli"]);
    expect(sources.filter((path) => !known.has(roomOf(path)))).toEqual([]);
  });

  test.each<[from: string, to: string, allowed: boolean]>([
    ["api/server.ts", "container/state.ts", true],
    ["api/server.ts", "base/errors.ts", true],
    ["engine.ts", "store/content.ts", true],
    ["main.ts", "cli/main.ts", true],
    ["container/plan.ts", "runtime/ops.ts", true],
    ["store/content.ts", "store/database.ts", true],
    ["cli/run.ts", "base/errors.ts", true],
    ["store/content.ts", "registry/registry.ts", false],
    ["container/plan.ts", "api/server.ts", false],
    ["base/errors.ts", "store/content.ts", false],
    ["runtime/ops.ts", "events.ts", false],
    ["events.ts", "engine.ts", false],
    ["cli/run.ts", "api/errors.ts", false],
    ["api/server.ts", "cli/main.ts", false],
    ["oci-runtime/plan.ts", "container/isolation.ts", true],
    ["oci-runtime/main.ts", "api/server.ts", false],
    ["api/server.ts", "oci-runtime/main.ts", false],
    ["attic/old.ts", "base/errors.ts", false],
  ])("objection() to %s importing %s: allowed %p", (from, to, allowed) => {
    expect(objection({ from, to }) === undefined).toBe(allowed);
  });

  test("importsOf() sees imports, also dynamic ones, and leaves types out", () => {
    const targets = importsOf("main.ts").map(({ to }) => to);
    expect(targets).toContain("daemon.ts");
    expect(targets).toContain("cli/main.ts");
    const ofPlan = importsOf("container/plan.ts").map(({ to }) => to);
    expect(ofPlan).toContain("runtime/ops.ts");
    expect(ofPlan).not.toContain("store/snapshot.ts"); // of which it knows a type
  });
});

const CHECKOUT = join(SRC, "..");

/** Folders of the checkout that the files of one import from, itself among them. */
function neighbours(folder: string): ReadonlySet<string> {
  const root = join(CHECKOUT, folder);
  const files = readdirSync(root, { recursive: true, encoding: "utf8" }).filter((path) => path.endsWith(".ts"));
  const targets = files.flatMap((file) =>
    transpiler
      .scanImports(readFileSync(join(root, file), "utf8"))
      .map(({ path }) => path)
      .filter((path) => path.startsWith("."))
      .map((path) => normalize(join(folder, dirname(file), path))),
  );
  return new Set(targets.map(roomOf));
}

test.each<[folder: string, allowed: readonly string[]]>([
  ["src", ["src", "bench", "shim", "wasm", "package.json"]], // the command `bench`, building, and the version
  ["bench", ["src", "bench"]],
])("%s/ imports no tests, and nothing that it need not", (folder, allowed) => {
  expect([...neighbours(folder)].filter((name) => !allowed.includes(name))).toEqual([]);
});

/** What decides about isolation and meaning: testable without root, a disk or a clock of the host's. */
const PURE = [
  ...[
    "config",
    "plan",
    "plan-mounts",
    "isolation",
    "capabilities",
    "state",
    "names",
    "etc-files",
    "security",
    "failure",
  ].map((name) => `container/${name}.ts`),
  ...["addresses"].map((name) => `network/${name}.ts`),
  ...["create-request", "document", "filters", "frames", "errors", "progress"].map((name) => `api/${name}.ts`),
  ...[
    "ops",
    "mount-flags",
    "ops-oci",
    "oci-bundle",
    "capability-names",
    "apparmor-policy",
    "signals",
    "seccomp",
    "seccomp-profile",
    "device-filter",
    "protocol",
  ].map((name) => `runtime/${name}.ts`),
  ...["manifest", "platform"].map((name) => `image/${name}.ts`),
  ...["schema", "config", "mount-options", "mounts", "namespaces", "process", "plan", "resources", "flags", "spec"].map(
    (name) => `oci-runtime/${name}.ts`,
  ),
];

/** Names from outside src/ that a file imports, itself or through others. */
function outside(path: string, seen = new Set<string>()): ReadonlySet<string> {
  const found = new Set<string>();
  if (seen.has(path)) return found;
  seen.add(path);
  for (const one of importsOf(path))
    if (inside(one)) for (const name of outside(one.to, seen)) found.add(name);
    else if (!one.to.endsWith(".json")) found.add(one.to);
  return found;
}

describe("pure files", () => {
  test.each(PURE)("%s imports no I/O", (path) => {
    const allowed = ["node:path", "node:os"]; // of node:os the constants
    expect([...outside(path)].filter((name) => !allowed.includes(name))).toEqual([]);
  });

  test("the OCI runtime starts without the engine", () => {
    const allowed = ["node:fs", "node:fs/promises", "node:path", "node:os", "bun:ffi"];
    expect([...outside("oci-runtime/main.ts")].filter((name) => !allowed.includes(name))).toEqual([]);
  });

  test("outside() finds what a file imports through others", () => {
    expect([...outside("container/launch.ts")]).toContain("node:fs/promises");
    expect([...outside("api/containers.ts")]).toContain("node:stream");
  });
});
