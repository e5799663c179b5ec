/** What `spec` writes: a configuration to start from, as runc's. And what `features` tells. Source: runtime-spec features.md. */

import { CAPABILITIES } from "../runtime/capability-names.ts";
import { OPERATORS } from "../runtime/seccomp-profile.ts";
import { NAMESPACES, SPEC_VERSION } from "./config.ts";

const SOME_CAPABILITIES = ["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"];

const SYSTEM = ["nosuid", "noexec", "nodev"];

export const exampleConfig = (): object => ({
  ociVersion: SPEC_VERSION,
  process: {
    terminal: true,
    user: { uid: 0, gid: 0 },
    args: ["sh"],
    env: ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=xterm"],
    cwd: "/",
    capabilities: { bounding: SOME_CAPABILITIES, effective: SOME_CAPABILITIES, permitted: SOME_CAPABILITIES },
    rlimits: [{ type: "RLIMIT_NOFILE", hard: 1024, soft: 1024 }],
    noNewPrivileges: true,
  },
  root: { path: "rootfs", readonly: true },
  hostname: "bosun-runtime",
  mounts: [
    { destination: "/proc", type: "proc", source: "proc" },
    {
      destination: "/dev",
      type: "tmpfs",
      source: "tmpfs",
      options: ["nosuid", "strictatime", "mode=755", "size=65536k"],
    },
    {
      destination: "/dev/pts",
      type: "devpts",
      source: "devpts",
      options: ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
    },
    { destination: "/dev/shm", type: "tmpfs", source: "shm", options: [...SYSTEM, "mode=1777", "size=65536k"] },
    { destination: "/dev/mqueue", type: "mqueue", source: "mqueue", options: SYSTEM },
    { destination: "/sys", type: "sysfs", source: "sysfs", options: [...SYSTEM, "ro"] },
    { destination: "/sys/fs/cgroup", type: "cgroup", source: "cgroup", options: [...SYSTEM, "relatime", "ro"] },
  ],
  linux: {
    resources: { devices: [{ allow: false, access: "rwm" }] },
    namespaces: ["pid", "network", "ipc", "uts", "mount", "cgroup"].map((type) => ({ type })),
    maskedPaths: [
      ...["acpi", "asound", "kcore", "keys", "latency_stats", "timer_list", "timer_stats", "sched_debug", "scsi"].map(
        (name) => `/proc/${name}`,
      ),
      "/sys/firmware",
    ],
    readonlyPaths: ["bus", "fs", "irq", "sys", "sysrq-trigger"].map((name) => `/proc/${name}`),
  },
});

const MOUNT_OPTIONS =
  "async atime bind defaults dev diratime dirsync exec idmap lazytime loud noatime nodev nodiratime noexec nolazytime nomand norelatime nostrictatime nosuid nosymfollow private rbind relatime remount ro rprivate rshared rslave runbindable rw shared silent slave strictatime suid symfollow sync tmpcopyup unbindable";
const RECURSIVE_OPTIONS =
  "ratime rdev rdiratime rexec rnoatime rnodev rnodiratime rnoexec rnorelatime rnostrictatime rnosuid rnosymfollow rrelatime rro rrw rstrictatime rsuid rsymfollow";

const ACTIONS = ["ALLOW", "ERRNO", "KILL", "KILL_PROCESS", "KILL_THREAD", "LOG", "TRACE", "TRAP"];

export const features = (): object => ({
  ociVersionMin: "1.0.0",
  ociVersionMax: SPEC_VERSION,
  hooks: ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"],
  mountOptions: [...MOUNT_OPTIONS.split(" "), ...RECURSIVE_OPTIONS.split(" ")].sort(),
  linux: {
    namespaces: [...NAMESPACES].sort(),
    capabilities: CAPABILITIES,
    cgroup: { v1: true, v2: true, systemd: false, systemdUser: false, rdma: true },
    seccomp: {
      enabled: true,
      actions: ACTIONS.map((name) => `SCMP_ACT_${name}`),
      operators: [...OPERATORS].sort(),
      archs: ["SCMP_ARCH_AARCH64", "SCMP_ARCH_X32", "SCMP_ARCH_X86", "SCMP_ARCH_X86_64"],
      knownFlags: ["SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW", "SECCOMP_FILTER_FLAG_TSYNC"],
      supportedFlags: ["SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW", "SECCOMP_FILTER_FLAG_TSYNC"],
    },
    apparmor: { enabled: true },
    selinux: { enabled: true },
    intelRdt: { enabled: false },
    mountExtensions: { idmap: { enabled: true } },
  },
});
