/** What a configuration's process is to be, as operations. Pure. Source: runtime-spec config.md, "Process". */

import { invalid, notImplemented } from "../base/errors.ts";
import { CAPABILITIES } from "../runtime/capability-names.ts";
import * as op from "../runtime/ops.ts";
import { type Op, RLIMIT, UNLIMITED } from "../runtime/ops.ts";
import * as oci from "../runtime/ops-oci.ts";
import type { SeccompFilter } from "../runtime/seccomp.ts";
import type { OciProcess } from "./config.ts";

const NUMBERS: ReadonlyMap<string, bigint> = new Map(CAPABILITIES.map((name, number) => [name, BigInt(number)]));

/** Names that no kernel knows are left out, as runc's: a configuration may be newer than its runtime. */
const setOf = (names: readonly string[]): bigint =>
  names.reduce((set, name) => set | (NUMBERS.has(name) ? 1n << (NUMBERS.get(name) ?? 0n) : 0n), 0n);

const NO_CAPABILITIES = { bounding: [], effective: [], permitted: [], inheritable: [], ambient: [] };

function capsOp({ capabilities = NO_CAPABILITIES }: OciProcess): Op {
  const { bounding, effective, permitted, inheritable, ambient } = capabilities;
  return op.caps({
    bounding: setOf(bounding),
    effective: setOf(effective),
    permitted: setOf(permitted),
    inheritable: setOf(inheritable),
    ambient: setOf(ambient),
  });
}

const RESOURCES: Readonly<Record<string, number>> = RLIMIT;

function rlimitOp({ type, soft, hard }: OciProcess["rlimits"][number]): Op {
  const resource = RESOURCES[type.replace(/^RLIMIT_/, "").toLowerCase()];
  if (resource === undefined || !type.startsWith("RLIMIT_")) throw invalid(`wrong rlimit value: ${type}`);
  if (soft > hard) throw invalid(`invalid ${type}: the soft limit is above the hard one`);
  const limit = (value: number) => (Number.isSafeInteger(value) ? value : UNLIMITED);
  return op.rlimit(resource, limit(soft), limit(hard));
}

/** Source: linux/sched.h. */
const POLICIES: Readonly<Record<string, number>> = {
  SCHED_OTHER: 0,
  SCHED_FIFO: 1,
  SCHED_RR: 2,
  SCHED_BATCH: 3,
  SCHED_ISO: 4,
  SCHED_IDLE: 5,
  SCHED_DEADLINE: 6,
};
const SCHED_FLAGS: Readonly<Record<string, number>> = {
  SCHED_FLAG_RESET_ON_FORK: 1,
  SCHED_FLAG_RECLAIM: 2,
  SCHED_FLAG_DL_OVERRUN: 4,
  SCHED_FLAG_KEEP_POLICY: 8,
  SCHED_FLAG_KEEP_PARAMS: 16,
  SCHED_FLAG_UTIL_CLAMP_MIN: 32,
  SCHED_FLAG_UTIL_CLAMP_MAX: 64,
};
/** Source: linux/ioprio.h. */
const IO_CLASSES: Readonly<Record<string, number>> = { IOPRIO_CLASS_RT: 1, IOPRIO_CLASS_BE: 2, IOPRIO_CLASS_IDLE: 3 };

function named(table: Readonly<Record<string, number>>, name: string, what: string): number {
  const value = table[name];
  if (value === undefined) throw invalid(`invalid ${what} ${JSON.stringify(name)}`);
  return value;
}

function schedulingOps({ scheduler, ioPriority }: OciProcess): readonly Op[] {
  const ops: Op[] = [];
  if (scheduler !== undefined) {
    const policy = named(POLICIES, scheduler.policy, "scheduler policy");
    const flags = scheduler.flags.reduce((mask, name) => mask | named(SCHED_FLAGS, name, "scheduler flag"), 0);
    ops.push(oci.scheduler({ ...scheduler, policy, flags }));
  }
  if (ioPriority !== undefined)
    ops.push(oci.ioPriority(named(IO_CLASSES, ioPriority.class, "ioPriority.class"), ioPriority.priority));
  return ops;
}

/** What a process takes along into a user namespace, where it may no longer change it. */
export const limitOps = ({ rlimits, oomScoreAdj }: OciProcess): readonly Op[] => [
  ...rlimits.map(rlimitOp),
  ...(oomScoreAdj === undefined ? [] : [op.oomScore(oomScoreAdj)]),
];

const userOp = ({ user: { uid, gid, additionalGids } }: OciProcess): Op =>
  op.user(`${uid}:${gid}`, additionalGids.map(String));

/** @throws invalid, notImplemented */
export function checkProcess({ args, cwd, execCPUAffinity }: OciProcess): void {
  if (args.length === 0) throw invalid("args must not be empty");
  if (!cwd.startsWith("/")) throw invalid("Cwd must be an absolute path");
  if (execCPUAffinity !== undefined) throw notImplemented("process.execCPUAffinity is not supported");
}

/** What a security module does with the program. Written by way of the host's /proc. */
export function labelOps({ apparmorProfile, selinuxLabel }: OciProcess): readonly Op[] {
  return [
    ...(apparmorProfile ? [oci.appArmor(apparmorProfile)] : []),
    ...(selinuxLabel ? [oci.label("/proc/thread-self/attr/exec", selinuxLabel)] : []),
  ];
}

export interface Program {
  /** From the session of its own to its environment. */
  readonly before: readonly Op[];
  /** What it does last: privileges. Seccomp needs one that `caps` may take away, or may not let it do what comes before. */
  readonly privileges: readonly Op[];
  readonly exec: Op;
}

/** @param createDirectory  make the working directory where it is missing */
export function programOps(process: OciProcess, seccomp: SeccompFilter | undefined, createDirectory: boolean): Program {
  const [program = "", ...args] = process.args;
  const filter = seccomp === undefined ? [] : [op.seccomp(seccomp.filter, seccomp.flags)];
  return {
    before: [
      op.session(),
      ...schedulingOps(process),
      op.umask(process.user.umask ?? 0o022),
      op.cwd(process.cwd, createDirectory), // as root: the user may not be able to get there by itself, as with runc
      userOp(process),
      op.env(process.env),
      oci.find(program),
    ],
    privileges: [...(process.noNewPrivileges ? [op.noNewPrivileges()] : []), ...filter, capsOp(process)],
    exec: op.exec(program, ...args),
  };
}
