/**
 * Compiles a seccomp profile to the classic BPF that the kernel runs at every system call. Pure. The filter looks at the architecture,
 * then searches the call's number by halving, so that the frequent calls cost no more than the rare ones.
 * Source: seccomp(2), linux/seccomp.h `struct seccomp_data`, linux/filter.h; libseccomp and runc for what rules mean together.
 */

import { invalid } from "../base/errors.ts";
import { applies, type Condition, type Rule, type SeccompHost, type SeccompProfile } from "./seccomp-profile.ts";
import aarch64 from "./syscalls-aarch64.json" with { type: "json" };
import x32 from "./syscalls-x32.json" with { type: "json" };
import x86 from "./syscalls-x86.json" with { type: "json" };
import x86_64 from "./syscalls-x86_64.json" with { type: "json" };

/** `struct sock_filter`: what to do, how many instructions to skip if true and if false, operand. */
interface Instruction {
  readonly code: number;
  readonly jt: number;
  readonly jf: number;
  readonly k: number;
}

const LOAD = 0x20; // BPF_LD | BPF_W | BPF_ABS
const AND = 0x54;
const JUMP = 0x05;
const IF_EQUAL = 0x15;
const IF_GREATER = 0x25;
const IF_GREATER_EQUAL = 0x35;
const RETURN = 0x06;

const OFFSET = { number: 0, architecture: 4, argument: 16 } as const;
const MOST_INSTRUCTIONS = 4096;
const FARTHEST = 255;
const ENOSYS = 38;
const EPERM = 1;
const KILL_PROCESS = 0x8000_0000;

interface Table {
  /** AUDIT_ARCH_…. Source: linux/audit.h. */
  readonly audit: number;
  /** Added to every number. */
  readonly base: number;
  readonly numbers: Readonly<Record<string, number>>;
}

const AUDIT_X86_64 = 0xc000_003e;
const X32_BIT = 0x4000_0000;
const TABLES: Readonly<Record<string, Table>> = {
  SCMP_ARCH_X86_64: { audit: AUDIT_X86_64, base: 0, numbers: x86_64 },
  SCMP_ARCH_X32: { audit: AUDIT_X86_64, base: X32_BIT, numbers: x32 },
  SCMP_ARCH_X86: { audit: 0x4000_0003, base: 0, numbers: x86 },
  SCMP_ARCH_AARCH64: { audit: 0xc000_00b7, base: 0, numbers: aarch64 },
};
const NATIVE: Readonly<Record<string, string>> = { amd64: "SCMP_ARCH_X86_64", arm64: "SCMP_ARCH_AARCH64" };

const FLAGS: Readonly<Record<string, number>> = {
  SECCOMP_FILTER_FLAG_TSYNC: 1,
  SECCOMP_FILTER_FLAG_LOG: 2,
  SECCOMP_FILTER_FLAG_SPEC_ALLOW: 4,
};

/** Actions by name, to what the filter returns. Source: linux/seccomp.h, SECCOMP_RET_…. */
function returnOf(action: string, errno = EPERM): number {
  switch (action) {
    case "SCMP_ACT_KILL":
    case "SCMP_ACT_KILL_THREAD":
      return 0;
    case "SCMP_ACT_KILL_PROCESS":
      return KILL_PROCESS;
    case "SCMP_ACT_TRAP":
      return 0x0003_0000;
    case "SCMP_ACT_ERRNO":
      return 0x0005_0000 | errno;
    case "SCMP_ACT_TRACE":
      return 0x7ff0_0000 | errno;
    case "SCMP_ACT_LOG":
      return 0x7ffc_0000;
    case "SCMP_ACT_ALLOW":
      return 0x7fff_0000;
    default:
      throw invalid(`Cannot use seccomp action ${action}`);
  }
}

const op = (code: number, k: number, jt = 0, jf = 0): Instruction => ({ code, jt, jf, k: k >>> 0 });

/** Goes on with `onTrue`, which ends in a return, or `onFalse`; by way of a long jump where that is too far. */
function branch(code: number, k: number, onTrue: Instruction[], onFalse: Instruction[]): Instruction[] {
  if (onTrue.length <= FARTHEST) return [op(code, k, 0, onTrue.length), ...onTrue, ...onFalse];
  return [op(code, k, 1, 0), op(JUMP, onTrue.length), ...onTrue, ...onFalse];
}

const high = (value: number): number => Math.floor(value / 2 ** 32);
const low = (value: number): number => value >>> 0;

/** The halves of an argument, as little-endian machines have them. */
const loadLow = (index: number): Instruction => op(LOAD, OFFSET.argument + 8 * index);
const loadHigh = (index: number): Instruction => op(LOAD, OFFSET.argument + 8 * index + 4);

/** Code that falls through when the condition holds, and else skips what follows: `rest` instructions. */
function test({ index, op: operator, value, valueTwo = 0 }: Condition, rest: number): Instruction[] {
  const [h, l] = [high(value), low(value)];
  switch (operator) {
    case "SCMP_CMP_EQ":
      return [loadHigh(index), op(IF_EQUAL, h, 0, rest + 2), loadLow(index), op(IF_EQUAL, l, 0, rest)];
    case "SCMP_CMP_NE":
      return [loadHigh(index), op(IF_EQUAL, h, 0, 2), loadLow(index), op(IF_EQUAL, l, rest, 0)];
    case "SCMP_CMP_GT":
      return above(index, h, op(IF_GREATER, l, 0, rest), rest);
    case "SCMP_CMP_GE":
      return above(index, h, op(IF_GREATER_EQUAL, l, 0, rest), rest);
    case "SCMP_CMP_LT":
      return below(index, h, op(IF_GREATER_EQUAL, l, rest, 0), rest);
    case "SCMP_CMP_LE":
      return below(index, h, op(IF_GREATER, l, rest, 0), rest);
    case "SCMP_CMP_MASKED_EQ":
      return [
        loadHigh(index),
        op(AND, h),
        op(IF_EQUAL, high(valueTwo), 0, rest + 3),
        loadLow(index),
        op(AND, l),
        op(IF_EQUAL, low(valueTwo), 0, rest),
      ];
  }
}

const above = (index: number, h: number, last: Instruction, rest: number): Instruction[] => [
  loadHigh(index),
  op(IF_GREATER, h, 3, 0),
  op(IF_EQUAL, h, 0, rest + 2),
  loadLow(index),
  last,
];

const below = (index: number, h: number, last: Instruction, rest: number): Instruction[] => [
  loadHigh(index),
  op(IF_GREATER, h, rest + 3, 0),
  op(IF_EQUAL, h, 0, 2),
  loadLow(index),
  last,
];

/** What becomes of one system call: alternatives in order, each with conditions that must all hold, then what else. */
interface Verdict {
  readonly alternatives: readonly { readonly conditions: readonly Condition[]; readonly result: number }[];
  readonly otherwise: number;
}

/** Several conditions on one argument are alternatives; on several arguments they hold together. Source: runc, matchCall. */
function alternativesOf(conditions: readonly Condition[]): readonly (readonly Condition[])[] {
  const indexes = new Set(conditions.map(({ index }) => index));
  return indexes.size < conditions.length ? conditions.map((condition) => [condition]) : [conditions];
}

/** An unconditional rule makes conditional ones for the same call void; the first of several counts. Source: libseccomp. */
function verdictOf(rules: readonly Rule[], standard: number, defaultErrno: number | undefined): Verdict {
  const resultOf = ({ action, errnoRet }: Rule) => returnOf(action, errnoRet ?? defaultErrno);
  const effective = rules.filter((rule) => resultOf(rule) !== standard);
  const plain = effective.find(({ args }) => !args?.length);
  if (plain) return { alternatives: [], otherwise: resultOf(plain) };
  const alternatives = effective.flatMap((rule) =>
    alternativesOf(rule.args ?? []).map((conditions) => ({ conditions, result: resultOf(rule) })),
  );
  return { alternatives, otherwise: standard };
}

function verdictCode({ alternatives, otherwise }: Verdict): Instruction[] {
  const code: Instruction[] = [];
  for (const { conditions, result } of alternatives) {
    let block = [op(RETURN, result)];
    for (const condition of conditions.toReversed()) block = [...test(condition, block.length), ...block];
    code.push(...block);
  }
  return [...code, op(RETURN, otherwise)];
}

/** Calls from `from` on, up to the next range. */
interface Range {
  readonly from: number;
  readonly code: Instruction[];
}

/** Halves: numbers from the middle range on to the right. The number is in the accumulator. */
function search(ranges: readonly Range[]): Instruction[] {
  const [first] = ranges;
  if (first === undefined) return [];
  if (ranges.length === 1) return first.code;
  const middle = ranges.length >> 1;
  const right = ranges.slice(middle);
  return branch(IF_GREATER_EQUAL, right[0]?.from ?? 0, search(right), search(ranges.slice(0, middle)));
}

const isSame = (a: Instruction[], b: Instruction[]): boolean => JSON.stringify(a) === JSON.stringify(b);

/**
 * What one architecture's calls become. Calls that are newer than every one the profile knows get ENOSYS, as if the kernel were older,
 * so that C libraries fall back to what they know. Source: runc, libcontainer/seccomp/patchbpf.
 */
function sectionOf(table: Table, rules: readonly Rule[], profile: SeccompProfile): Instruction[] {
  const { defaultAction, defaultErrnoRet } = profile;
  const standard = returnOf(defaultAction, defaultErrnoRet);
  const byNumber = new Map<number, Rule[]>();
  for (const rule of rules)
    for (const name of rule.names) {
      const number = table.numbers[name];
      if (number !== undefined) byNumber.set(number, [...(byNumber.get(number) ?? []), rule]);
    }
  const isErrno = defaultAction === "SCMP_ACT_ERRNO";
  const points: Range[] = [{ from: 0, code: [op(RETURN, standard)] }];
  for (const number of [...byNumber.keys()].sort((a, b) => a - b)) {
    const verdict = verdictOf(byNumber.get(number) ?? [], standard, defaultErrnoRet);
    points.push({ from: table.base + number, code: verdictCode(verdict) });
    if (!byNumber.has(number + 1)) points.push({ from: table.base + number + 1, code: [op(RETURN, standard)] });
  }
  const last = points.at(-1);
  if (isErrno && byNumber.size > 0 && last)
    points[points.length - 1] = { from: last.from, code: [op(RETURN, returnOf("SCMP_ACT_ERRNO", ENOSYS))] };
  return search(merge(points));
}

/** Neighbours that do the same become one; of two at the same number the later counts. */
function merge(points: readonly Range[]): Range[] {
  const merged: Range[] = [];
  for (const point of points) {
    if (merged.at(-1)?.from === point.from) merged.pop();
    const before = merged.at(-1);
    if (before === undefined || !isSame(before.code, point.code)) merged.push(point);
  }
  return merged;
}

function architecturesOf(profile: SeccompProfile, host: SeccompHost): readonly string[] {
  const native = NATIVE[host.architecture];
  if (native === undefined) throw invalid(`Cannot filter system calls: architecture ${host.architecture} is unknown`);
  const map = profile.archMap?.find(({ architecture }) => architecture === native);
  return [native, ...(map?.subArchitectures ?? profile.architectures ?? []).filter((name) => name !== native)];
}

function encode(code: readonly Instruction[]): Uint8Array {
  const bytes = Buffer.alloc(code.length * 8);
  code.forEach(({ code: what, jt, jf, k }, index) => {
    bytes.writeUInt16LE(what, index * 8);
    bytes.writeUInt8(jt, index * 8 + 2);
    bytes.writeUInt8(jf, index * 8 + 3);
    bytes.writeUInt32LE(k, index * 8 + 4);
  });
  return bytes;
}

export interface SeccompFilter {
  /** `struct sock_filter[]`. */
  readonly filter: Uint8Array;
  /** Of SECCOMP_FILTER_FLAG. */
  readonly flags: number;
  /** The same for other runtimes, as OCI configurations have it: only the rules that apply here. Source: runtime-spec config-linux.md, "Seccomp". */
  readonly profile: object;
}

const toldToOthers = (
  { defaultAction, defaultErrnoRet, flags }: SeccompProfile,
  rules: readonly Rule[],
  architectures: readonly string[],
): object => ({
  defaultAction,
  ...(defaultErrnoRet !== undefined && { defaultErrnoRet }),
  architectures,
  ...(flags?.length ? { flags } : {}),
  syscalls: rules.map(({ names, action, errnoRet, args }) => ({
    names,
    action,
    ...(errnoRet != null && { errnoRet }),
    ...(args?.length ? { args } : {}),
  })),
});

/** @throws invalid when the profile has an action or flag that is unknown, or is too large */
export function compileSeccomp(profile: SeccompProfile, host: SeccompHost): SeccompFilter {
  const rules = profile.syscalls.filter((rule) => applies(rule, host));
  const architectures = architecturesOf(profile, host);
  const tables = architectures.flatMap((name) => TABLES[name] ?? []);
  const unknown: Instruction[] = [op(RETURN, 0)];
  let code = unknown;
  for (const audit of new Set(tables.map((table) => table.audit))) {
    const [first, second] = tables
      .filter((table) => table.audit === audit)
      .map((table) => ({ from: table.base, code: sectionOf(table, rules, profile) }))
      .sort((a, b) => a.from - b.from);
    // Without x32 its numbers, which have a bit of their own, are of an architecture that nobody listed.
    const other = second ?? (audit === AUDIT_X86_64 ? { from: X32_BIT, code: unknown } : undefined);
    const section = search([first, other].filter((range) => range !== undefined));
    code = branch(IF_EQUAL, audit, [op(LOAD, OFFSET.number), ...section], code);
  }
  const whole = [op(LOAD, OFFSET.architecture), ...code];
  if (whole.length > MOST_INSTRUCTIONS) throw invalid(`Cannot filter system calls: the profile is too large`);
  return {
    filter: encode(whole),
    flags: flagsOf(profile),
    profile: toldToOthers(profile, rules, architectures),
  };
}

const flagsOf = ({ flags = [] }: SeccompProfile): number =>
  (flags ?? []).reduce((bits, name) => {
    const flag = FLAGS[name];
    if (flag === undefined) throw invalid(`Cannot use seccomp flag ${name}`);
    return bits | flag;
  }, 0);
