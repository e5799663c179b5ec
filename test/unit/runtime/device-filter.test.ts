import { expect, test } from "bun:test";
import type { DeviceRule } from "../../../src/runtime/cgroup.ts";
import { deviceFilter } from "../../../src/runtime/device-filter.ts";

const TYPE = { b: 1, c: 2 } as const;
const M = 1;
const R = 2;
const W = 4;

/** The instructions of Documentation/bpf/standardization/instruction-set.rst that device filters use. */
function allows(program: Uint8Array, type: "b" | "c", major: number, minor: number, access: number): boolean {
  const code = new DataView(program.buffer, program.byteOffset, program.byteLength);
  const context = [(access << 16) | TYPE[type], major, minor];
  const r: number[] = new Array(11).fill(0);
  for (let pc = 0; ; pc++) {
    const at = pc * 8;
    const [dst, src] = [code.getUint8(at + 1) & 15, code.getUint8(at + 1) >> 4];
    const [offset, value] = [code.getInt16(at + 2, true), code.getInt32(at + 4, true)];
    const [d, s] = [r[dst] ?? 0, r[src] ?? 0];
    switch (code.getUint8(at)) {
      case 0x61:
        r[dst] = context[offset / 4] ?? 0;
        break;
      case 0x54:
      case 0x57:
        r[dst] = d & value;
        break;
      case 0x77:
        r[dst] = d >>> value;
        break;
      case 0xb7:
        r[dst] = value;
        break;
      case 0xbf:
        r[dst] = s;
        break;
      case 0x15:
        if (d === value) pc += offset;
        break;
      case 0x55:
        if (d !== value) pc += offset;
        break;
      case 0x5d:
        if (d !== s) pc += offset;
        break;
      case 0x95:
        return r[0] === 1;
      default:
        throw new Error(`unknown instruction ${code.getUint8(at)}`);
    }
  }
}

const rule = (text: string): DeviceRule => {
  const [verb, type, device = "*:*", access = "rwm"] = text.split(" ");
  const [major = -1, minor = -1] = device.split(":").map((part) => (part === "*" ? -1 : Number(part)));
  return { allow: verb === "allow", type: type === "b" ? "b" : type === "c" ? "c" : "a", major, minor, access };
};

const DOCKER = ["deny a", "allow c *:* m", "allow b *:* m", "allow c 1:3 rwm", "allow c 136:* rwm"].map(rule);

test.each([
  ["c", 1, 3, R | W, true],
  ["c", 1, 3, R | W | M, true],
  ["c", 1, 5, R, false],
  ["b", 8, 0, M, true],
  ["b", 8, 0, M | R, false],
  ["c", 136, 77, R | W, true],
  ["b", 1, 3, R, false],
] as const)(
  "deviceFilter() lets %s %d:%d with access %d be %p under Docker's rules",
  (type, major, minor, access, want) => {
    expect(allows(deviceFilter(DOCKER), type, major, minor, access)).toBe(want);
  },
);

test("deviceFilter() refuses what no rule speaks of", () => {
  expect(allows(deviceFilter([rule("allow c 1:3 rw")]), "c", 1, 5, R)).toBe(false);
  expect(allows(deviceFilter([]), "c", 1, 3, R)).toBe(false);
});

test("deviceFilter() lets the last rule that matches decide", () => {
  const filter = deviceFilter([rule("deny a"), rule("allow a"), rule("deny c 1:3 w")]);
  expect(allows(filter, "b", 8, 0, R | W | M)).toBe(true);
  expect(allows(filter, "c", 1, 3, R)).toBe(true);
  expect(allows(filter, "c", 1, 3, R | W)).toBe(false);
});

test("deviceFilter() leaves out what comes before a rule for all, since the kernel refuses dead code", () => {
  expect(deviceFilter([rule("allow c 1:3 r"), rule("deny a")])).toEqual(deviceFilter([rule("deny a")]));
});
