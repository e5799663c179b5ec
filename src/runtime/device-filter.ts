/**
 * Device rules as a BPF program for a v2 cgroup. The kernel asks it at every open and mknod of a device; 1 allows.
 * Source: linux/bpf.h, struct bpf_cgroup_dev_ctx { access << 16 | type, major, minor }; instruction-set.rst.
 */

import type { DeviceRule } from "./cgroup.ts";

const ACCESS: Readonly<Record<string, number>> = { m: 1, r: 2, w: 4 };
const TYPE = { b: 1, c: 2 } as const;

/** Registers: 0 result, 1 context and scratch, then what is asked for. */
const R = { result: 0, scratch: 1, type: 2, access: 3, major: 4, minor: 5 } as const;

const CODE = {
  load32: 0x61,
  and32: 0x54,
  and: 0x57,
  shiftRight: 0x77,
  set: 0xb7,
  copy: 0xbf,
  skipIfEqual: 0x15,
  skipUnlessEqual: 0x55,
  skipUnlessSame: 0x5d,
  exit: 0x95,
} as const;

/** `struct bpf_insn`: code, destination and source, offset, immediate. */
function instruction(code: number, destination = 0, { source = 0, offset = 0, value = 0 } = {}): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeUInt8(code, 0);
  bytes.writeUInt8(destination | (source << 4), 1);
  bytes.writeInt16LE(offset, 2);
  bytes.writeInt32LE(value, 4);
  return bytes;
}

/** A condition that skips `rest` instructions when it does not hold. */
type Condition = (rest: number) => readonly Buffer[];

const equals =
  (register: number, value: number): Condition =>
  (rest) => [instruction(CODE.skipUnlessEqual, register, { offset: rest, value })];

const masked = (mask: number): Buffer[] => [
  instruction(CODE.copy, R.scratch, { source: R.access }),
  instruction(CODE.and, R.scratch, { value: mask }),
];

/** An allowance must cover all that is asked for; one refusal is enough. */
const accessIs =
  (allow: boolean, mask: number): Condition =>
  (rest) => [
    ...masked(mask),
    allow
      ? instruction(CODE.skipUnlessSame, R.scratch, { source: R.access, offset: rest })
      : instruction(CODE.skipIfEqual, R.scratch, { offset: rest, value: 0 }),
  ];

function ruleCode({ allow, type, major, minor, access }: DeviceRule): Buffer[] {
  const conditions: Condition[] = [];
  if (type !== "a") {
    conditions.push(equals(R.type, TYPE[type]));
    const mask = [...access].reduce((bits, letter) => bits | (ACCESS[letter] ?? 0), 0);
    conditions.push(accessIs(allow, mask));
    if (major >= 0) conditions.push(equals(R.major, major));
    if (minor >= 0) conditions.push(equals(R.minor, minor));
  }
  let code = [instruction(CODE.set, R.result, { value: allow ? 1 : 0 }), instruction(CODE.exit)];
  for (const condition of conditions.reverse()) code = [...condition(code.length), ...code];
  return code;
}

const REFUSE_ALL: DeviceRule = { allow: false, type: "a", major: -1, minor: -1, access: "rwm" };

/**
 * @param rules  in order; the last that matches decides, what matches none is refused
 * @returns      `struct bpf_insn[]`
 */
export function deviceFilter(rules: readonly DeviceRule[]): Uint8Array {
  const load = (register: number, offset: number) => instruction(CODE.load32, register, { source: 1, offset });
  const prologue = [
    load(R.type, 0),
    instruction(CODE.and32, R.type, { value: 0xffff }),
    load(R.access, 0),
    instruction(CODE.shiftRight, R.access, { value: 16 }),
    load(R.major, 4),
    load(R.minor, 8),
  ];
  // The kernel refuses code that cannot be reached: what comes before a rule for all is left out.
  const first = rules.findLastIndex(({ type }) => type === "a");
  const effective = first < 0 ? [REFUSE_ALL, ...rules] : rules.slice(first);
  return Buffer.concat([...prologue, ...effective.toReversed().flatMap(ruleCode)]);
}
