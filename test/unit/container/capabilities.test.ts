import { describe, expect, test } from "bun:test";
import { capabilityNames, capabilitySet } from "../../../src/container/capabilities.ts";
import { DEFAULT_CAPABILITIES } from "../../../src/container/isolation.ts";
import { CAPABILITIES } from "../../../src/runtime/capability-names.ts";

const ALL = (1n << BigInt(CAPABILITIES.length)) - 1n;

const namesOf = (
  add: readonly string[],
  drop: readonly string[],
  options: { privileged?: boolean; available?: bigint } = {},
) =>
  [
    ...capabilityNames(capabilitySet({ privileged: options.privileged ?? false, add, drop }, options.available ?? ALL)),
  ].sort();
const sorted = (names: readonly string[]) => [...names].sort();
const DEFAULTS: readonly string[] = DEFAULT_CAPABILITIES;

describe("capabilitySet()", () => {
  test.each<[name: string, add: string[], drop: string[], result: readonly string[]]>([
    ["the default", [], [], DEFAULTS],
    ["one more", ["NET_ADMIN"], [], [...DEFAULTS, "CAP_NET_ADMIN"]],
    ["one that is there already", ["CHOWN"], [], DEFAULTS],
    ["one less", [], ["CHOWN"], DEFAULTS.filter((name) => name !== "CAP_CHOWN")],
    [
      "prefixed and lower-case names",
      ["cap_sys_time", "net_admin"],
      ["Cap_Chown"],
      [...DEFAULTS.filter((name) => name !== "CAP_CHOWN"), "CAP_SYS_TIME", "CAP_NET_ADMIN"],
    ],
    ["none", [], ["ALL"], []],
    ["only some", ["KILL", "CHOWN"], ["ALL"], ["CAP_KILL", "CAP_CHOWN"]],
    ["all", ["ALL"], [], CAPABILITIES],
    ["all but one", ["ALL"], ["SYS_ADMIN"], CAPABILITIES.filter((name) => name !== "CAP_SYS_ADMIN")],
    ["all added and all dropped", ["ALL"], ["ALL"], []],
  ])("capabilitySet() gives %s", (_, add, drop, result) => {
    expect(namesOf(add, drop)).toEqual(sorted(result));
  });

  test("capabilitySet() gives a privileged container all that there is, whatever it adds or drops", () => {
    expect(namesOf([], ["ALL"], { privileged: true })).toEqual(sorted(CAPABILITIES));
  });

  test("capabilitySet() never gives what the engine does not have itself", () => {
    const available = ALL & ~(1n << 24n) & ~1n; // without CAP_SYS_RESOURCE and CAP_CHOWN
    expect(namesOf([], [], { available })).toEqual(sorted(DEFAULTS.filter((name) => name !== "CAP_CHOWN")));
    expect(namesOf(["ALL"], [], { available })).not.toContain("CAP_SYS_RESOURCE");
    expect(namesOf([], [], { available, privileged: true })).not.toContain("CAP_SYS_RESOURCE");
    expect(() => namesOf(["SYS_RESOURCE"], [], { available })).toThrow(
      'not available in the current environment: "CAP_SYS_RESOURCE"',
    );
  });

  test.each(["FLY", "CAP_", "", "CAP_CAP_KILL", "__proto__"])("capabilitySet() refuses the unknown %p", (name) => {
    expect(() => namesOf([name], [])).toThrow("invalid CapAdd: unknown capability");
    expect(() => namesOf([], [name])).toThrow("invalid CapDrop: unknown capability");
  });

  test("the numbers of capabilities are the kernel's", () => {
    // linux/capability.h
    for (const [name, number] of [
      ["CAP_CHOWN", 0],
      ["CAP_NET_ADMIN", 12],
      ["CAP_SYS_ADMIN", 21],
      ["CAP_SYS_RESOURCE", 24],
      ["CAP_AUDIT_READ", 37],
      ["CAP_CHECKPOINT_RESTORE", 40],
    ] as const)
      expect(CAPABILITIES.indexOf(name)).toBe(number);
  });
});
