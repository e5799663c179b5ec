/**
 * Docker's seccomp profiles: JSON that says which system calls a container may make, depending on the machine, its kernel and the
 * container's capabilities. Source: moby/profiles, seccomp; runc, libcontainer/seccomp, for what the fields come to mean.
 */

import { invalid, messageOf } from "../base/errors.ts";
import { isObject } from "../base/objects.ts";

export const OPERATORS = [
  "SCMP_CMP_NE",
  "SCMP_CMP_LT",
  "SCMP_CMP_LE",
  "SCMP_CMP_EQ",
  "SCMP_CMP_GE",
  "SCMP_CMP_GT",
  "SCMP_CMP_MASKED_EQ",
] as const;
export type Operator = (typeof OPERATORS)[number];

export interface Condition {
  /** Which argument, 0..5. */
  readonly index: number;
  readonly op: Operator;
  /** 64 bits; the mask of MASKED_EQ. */
  readonly value: number;
  /** What MASKED_EQ compares with. */
  readonly valueTwo?: number;
}

/** When a rule applies. All that is named must hold. */
interface Terms {
  readonly caps?: readonly string[];
  readonly arches?: readonly string[];
  /** As `4.8`. */
  readonly minKernel?: string;
}

export interface Rule {
  readonly names: readonly string[];
  readonly action: string;
  readonly errnoRet?: number;
  readonly args?: readonly Condition[] | null;
  readonly includes?: Terms;
  readonly excludes?: Terms;
}

export interface SeccompProfile {
  readonly defaultAction: string;
  readonly defaultErrnoRet?: number;
  readonly archMap?: readonly { readonly architecture: string; readonly subArchitectures: readonly string[] | null }[];
  readonly architectures?: readonly string[];
  readonly flags?: readonly string[];
  readonly syscalls: readonly Rule[];
}

export interface SeccompHost {
  /** As Go and Docker call it: `amd64`, `arm64`. */
  readonly architecture: string;
  /** Version of the kernel, as `6.18`. */
  readonly kernel: string;
  /** The container's, as `CAP_SYS_ADMIN`. */
  readonly capabilities: readonly string[];
}

const isStrings = (value: unknown): value is string[] =>
  Array.isArray(value) && value.every((item) => typeof item === "string");
const isOptional = (value: unknown, is: (value: unknown) => boolean): boolean => value == null || is(value);
const isNumber = (value: unknown): boolean => typeof value === "number" && value >= 0;

const isTerms = (value: unknown): boolean =>
  isObject(value) &&
  isOptional(value.caps, isStrings) &&
  isOptional(value.arches, isStrings) &&
  isOptional(value.minKernel, (text) => typeof text === "string" && /^\d+\.\d+/.test(text));

const isCondition = (value: unknown): value is Condition =>
  isObject(value) &&
  typeof value.index === "number" &&
  Number.isInteger(value.index) &&
  value.index >= 0 &&
  value.index <= 5 &&
  OPERATORS.some((operator) => operator === value.op) &&
  isNumber(value.value) &&
  isOptional(value.valueTwo, isNumber);

const isRule = (value: unknown): value is Rule =>
  isObject(value) &&
  isStrings(value.names) &&
  typeof value.action === "string" &&
  isOptional(value.errnoRet, isNumber) &&
  isOptional(value.args, (args) => Array.isArray(args) && args.every(isCondition)) &&
  isOptional(value.includes, isTerms) &&
  isOptional(value.excludes, isTerms);

const isProfile = (value: unknown): value is SeccompProfile =>
  isObject(value) &&
  typeof value.defaultAction === "string" &&
  isOptional(value.defaultErrnoRet, isNumber) &&
  isOptional(value.architectures, isStrings) &&
  isOptional(value.flags, isStrings) &&
  isOptional(value.archMap, (map) => Array.isArray(map) && map.every(isArchitecture)) &&
  Array.isArray(value.syscalls ?? []) &&
  (Array.isArray(value.syscalls) ? value.syscalls : []).every(isNamed);

const isArchitecture = (value: unknown): boolean =>
  isObject(value) && typeof value.architecture === "string" && isOptional(value.subArchitectures, isStrings);

/** Older profiles have one `name` per rule. */
const isNamed = (rule: unknown): boolean =>
  isObject(rule) && isRule(typeof rule.name === "string" ? { ...rule, names: [rule.name] } : rule);

const withNames = (rule: Rule & { readonly name?: unknown }): Rule =>
  typeof rule.name === "string" ? { ...rule, names: [rule.name] } : rule;

/** @param text  JSON, as `--security-opt seccomp=` gives it. @throws invalid */
export function parseSeccompProfile(text: string): SeccompProfile {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw invalid(`Decoding seccomp profile failed: ${messageOf(error)}`);
  }
  if (!isProfile(value)) throw invalid("Decoding seccomp profile failed: it is not of a profile's form");
  return { ...value, syscalls: (value.syscalls ?? []).map(withNames) };
}

const versionOf = (text: string): number => {
  const [major = 0, minor = 0] = text.split(/[.-]/).map(Number);
  return major * 1000 + minor;
};

/** Whether a rule applies on this host and to this container. */
export function applies({ includes = {}, excludes = {} }: Rule, host: SeccompHost): boolean {
  const has = (capability: string) => host.capabilities.includes(capability);
  const isArch = (arches?: readonly string[]) => arches?.includes(host.architecture) ?? false;
  const isKernel = (version?: string) => version !== undefined && versionOf(host.kernel) >= versionOf(version);
  if (includes.arches?.length && !isArch(includes.arches)) return false;
  if (includes.caps?.length && !includes.caps.every(has)) return false;
  if (includes.minKernel && !isKernel(includes.minKernel)) return false;
  return !(isArch(excludes.arches) || excludes.caps?.some(has) || isKernel(excludes.minKernel));
}
