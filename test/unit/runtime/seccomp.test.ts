import { expect, test } from "bun:test";
import { compileSeccomp } from "../../../src/runtime/seccomp.ts";
import {
  applies,
  type Condition,
  parseSeccompProfile,
  type Rule,
  type SeccompHost,
  type SeccompProfile,
} from "../../../src/runtime/seccomp-profile.ts";
import x86 from "../../../src/runtime/syscalls-x86.json";
import x86_64 from "../../../src/runtime/syscalls-x86_64.json";

const DEFAULT = parseSeccompProfile(
  await Bun.file(new URL("../../../src/runtime/seccomp-default.json", import.meta.url)).text(),
);
const host = (...capabilities: string[]): SeccompHost => ({ architecture: "amd64", kernel: "6.18.44", capabilities });

const AUDIT = { x86_64: 0xc000003e, x86: 0x40000003, aarch64: 0xc00000b7 };
const ALLOW = 0x7fff0000;
const errno = (number: number): number => 0x00050000 | number;

interface Call {
  readonly arch: number;
  readonly number: number;
  readonly args?: readonly bigint[];
}

/** The machine of Documentation/networking/filter.rst, as far as seccomp allows it. */
function run(filter: Uint8Array, { arch, number, args = [] }: Call): number {
  const data = new DataView(new ArrayBuffer(64));
  data.setInt32(0, number | 0, true);
  data.setUint32(4, arch, true);
  args.forEach((arg, index) => {
    data.setBigUint64(16 + index * 8, arg, true);
  });
  const program = new DataView(filter.buffer, filter.byteOffset, filter.byteLength);
  let a = 0;
  for (let pc = 0; ; pc++) {
    const at = pc * 8;
    const [code, jt, jf, k] = [
      program.getUint16(at, true),
      program.getUint8(at + 2),
      program.getUint8(at + 3),
      program.getUint32(at + 4, true),
    ];
    const jump = (condition: boolean) => {
      pc += condition ? jt : jf;
    };
    if (code === 0x20) a = data.getUint32(k, true);
    else if (code === 0x54) a = (a & k) >>> 0;
    else if (code === 0x05) pc += k;
    else if (code === 0x15) jump(a === k);
    else if (code === 0x25) jump(a > k);
    else if (code === 0x35) jump(a >= k);
    else if (code === 0x06) return k;
    else throw new Error(`unknown instruction ${code} at ${pc}`);
  }
}

function holds({ index, op, value, valueTwo = 0 }: Condition, args: readonly bigint[]): boolean {
  const arg = args[index] ?? 0n;
  const wanted = BigInt(value);
  switch (op) {
    case "SCMP_CMP_NE":
      return arg !== wanted;
    case "SCMP_CMP_LT":
      return arg < wanted;
    case "SCMP_CMP_LE":
      return arg <= wanted;
    case "SCMP_CMP_EQ":
      return arg === wanted;
    case "SCMP_CMP_GE":
      return arg >= wanted;
    case "SCMP_CMP_GT":
      return arg > wanted;
    case "SCMP_CMP_MASKED_EQ":
      return (arg & wanted) === BigInt(valueTwo);
  }
}

/** What the profile says, read rule by rule. */
function verdict(rules: readonly Rule[], name: string, args: readonly bigint[]): number {
  const mine = rules.filter((rule) => rule.names.includes(name));
  const result = (rule: Rule) => (rule.action === "SCMP_ACT_ALLOW" ? ALLOW : errno(rule.errnoRet ?? 1));
  const chosen =
    mine.find((rule) => !rule.args?.length) ??
    mine.find((rule) => rule.args?.length && rule.args.every((condition) => holds(condition, args)));
  return chosen ? result(chosen) : errno(1);
}

const SAMPLES: readonly (readonly bigint[])[] = [
  [0n],
  [8n],
  [37n],
  [38n],
  [39n],
  [40n],
  [41n],
  [0x20000n],
  [0x20008n],
  [0xffffffffn],
  [0x7e020000n],
  [0x10000000n],
  [0x1_0000_0000n],
  [0x1_0000_0026n],
];

test.each([
  ["without capabilities", host()],
  ["with CAP_SYS_ADMIN", host("CAP_SYS_ADMIN")],
  ["with many capabilities", host("CAP_SYS_PTRACE", "CAP_SYS_MODULE", "CAP_BPF", "CAP_PERFMON", "CAP_SYS_TIME")],
  ["on an old kernel", { ...host(), kernel: "4.4.0" }],
] as const)("compileSeccomp() decides every call as the profile says %s", (_, environment) => {
  const { filter } = compileSeccomp(DEFAULT, environment);
  const rules = DEFAULT.syscalls.filter((rule) => applies(rule, environment));
  const known = new Set(rules.flatMap((rule) => rule.names));
  for (const [arch, table] of [
    [AUDIT.x86_64, x86_64],
    [AUDIT.x86, x86],
  ] as const) {
    const last = Math.max(...Object.entries(table).flatMap(([name, number]) => (known.has(name) ? [number] : [])));
    for (const [name, number] of Object.entries(table))
      for (const args of SAMPLES) {
        const want = number > last ? errno(38) : verdict(rules, name, args);
        expect([name, args, run(filter, { arch, number, args })]).toEqual([name, args, want]);
      }
  }
});

test("compileSeccomp() answers ENOSYS to calls newer than the profile, EPERM to gaps within it", () => {
  const { filter } = compileSeccomp(DEFAULT, host());
  expect(run(filter, { arch: AUDIT.x86_64, number: 1000 })).toBe(errno(38));
  expect(run(filter, { arch: AUDIT.x86_64, number: 400 })).toBe(errno(1));
});

test("compileSeccomp() kills calls of an architecture that the profile does not list", () => {
  expect(run(compileSeccomp(DEFAULT, host()).filter, { arch: AUDIT.aarch64, number: 63 })).toBe(0);
  const native: SeccompProfile = { ...DEFAULT, archMap: [], architectures: ["SCMP_ARCH_X86_64"] };
  const { filter } = compileSeccomp(native, host());
  expect(run(filter, { arch: AUDIT.x86, number: 3 })).toBe(0);
  expect(run(filter, { arch: AUDIT.x86_64, number: 0x40000000 })).toBe(0); // x32
  expect(run(filter, { arch: AUDIT.x86_64, number: 0 })).toBe(ALLOW);
});

test("compileSeccomp() knows x32 numbers by their bit", () => {
  const { filter } = compileSeccomp(DEFAULT, host());
  expect(run(filter, { arch: AUDIT.x86_64, number: 0x40000000 })).toBe(ALLOW); // read
  expect(run(filter, { arch: AUDIT.x86_64, number: 0x40000000 + 165 })).toBe(errno(1)); // mount
});

test("compileSeccomp() has its own numbers on arm64", () => {
  const { filter } = compileSeccomp(DEFAULT, { ...host(), architecture: "arm64" });
  expect(run(filter, { arch: AUDIT.aarch64, number: 63 })).toBe(ALLOW); // read
  expect(run(filter, { arch: AUDIT.aarch64, number: 40 })).toBe(errno(1)); // mount
});

const OPERATORS = [
  ["SCMP_CMP_NE", 0x1_0000_0005],
  ["SCMP_CMP_LT", 0x1_0000_0005],
  ["SCMP_CMP_LE", 0x1_0000_0005],
  ["SCMP_CMP_EQ", 0x1_0000_0005],
  ["SCMP_CMP_GE", 0x1_0000_0005],
  ["SCMP_CMP_GT", 0x1_0000_0005],
  ["SCMP_CMP_MASKED_EQ", 0xf_0000_000f],
] as const;

test.each(OPERATORS)("compileSeccomp() compares 64 bits with %s", (op, value) => {
  const condition: Condition = { index: 2, op, value, valueTwo: 0x1_0000_0005 };
  const profile: SeccompProfile = {
    defaultAction: "SCMP_ACT_ERRNO",
    architectures: ["SCMP_ARCH_X86_64"],
    syscalls: [{ names: ["ioctl"], action: "SCMP_ACT_ALLOW", args: [condition] }],
  };
  const { filter } = compileSeccomp(profile, host());
  for (const high of [0n, 1n, 2n, 0x11n])
    for (const low of [0n, 4n, 5n, 6n, 0x15n, 0xffffffffn]) {
      const args = [0n, 0n, (high << 32n) | low];
      const want = holds(condition, args) ? ALLOW : errno(1);
      expect([args[2], run(filter, { arch: AUDIT.x86_64, number: x86_64.ioctl, args })]).toEqual([args[2], want]);
    }
});

test("compileSeccomp() takes conditions on several arguments together, on one as alternatives", () => {
  const equal = (index: number, value: number): Condition => ({ index, op: "SCMP_CMP_EQ", value });
  const profile: SeccompProfile = {
    defaultAction: "SCMP_ACT_ALLOW",
    architectures: ["SCMP_ARCH_X86_64"],
    syscalls: [
      { names: ["read"], action: "SCMP_ACT_KILL_PROCESS", args: [equal(0, 1), equal(1, 2)] },
      { names: ["write"], action: "SCMP_ACT_ERRNO", errnoRet: 5, args: [equal(0, 1), equal(0, 2)] },
    ],
  };
  const { filter } = compileSeccomp(profile, host());
  const call = (number: number, ...args: bigint[]) => run(filter, { arch: AUDIT.x86_64, number, args });
  expect([call(0, 1n, 2n), call(0, 1n, 3n)]).toEqual([0x80000000, ALLOW]);
  expect([call(1, 1n), call(1, 2n), call(1, 3n)]).toEqual([errno(5), errno(5), ALLOW]);
});

test("compileSeccomp() passes flags on, and refuses what it does not know", () => {
  const profile: SeccompProfile = { defaultAction: "SCMP_ACT_ALLOW", syscalls: [] };
  expect(compileSeccomp({ ...profile, flags: ["SECCOMP_FILTER_FLAG_LOG"] }, host()).flags).toBe(2);
  expect(() => compileSeccomp({ ...profile, flags: ["X"] }, host())).toThrow("seccomp flag X");
  expect(() => compileSeccomp({ ...profile, defaultAction: "SCMP_ACT_NOTIFY" }, host())).toThrow("SCMP_ACT_NOTIFY");
});

test.each(["", "[]", "{}", '{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":1,"action":"x"}]}'])(
  "parseSeccompProfile() refuses %j",
  (text) => {
    expect(() => parseSeccompProfile(text)).toThrow("Decoding seccomp profile failed");
  },
);
