/**
 * What keeps a container apart from the host unless told otherwise: data only.
 * Source: Moby's default OCI spec (daemon/pkg/oci/defaults.go, caps/defaults.go), runtime-spec config-linux.md "Default Devices".
 */

import type { DeviceRule } from "../runtime/cgroup.ts";

/** Docker's default capabilities. */
export const DEFAULT_CAPABILITIES = [
  "CAP_CHOWN",
  "CAP_DAC_OVERRIDE",
  "CAP_FSETID",
  "CAP_FOWNER",
  "CAP_MKNOD",
  "CAP_NET_RAW",
  "CAP_SETGID",
  "CAP_SETUID",
  "CAP_SETFCAP",
  "CAP_SETPCAP",
  "CAP_NET_BIND_SERVICE",
  "CAP_SYS_CHROOT",
  "CAP_KILL",
  "CAP_AUDIT_WRITE",
] as const;

/** Hidden behind /dev/null or an empty tmpfs. */
export const MASKED_PATHS = [
  "/proc/asound",
  "/proc/acpi",
  "/proc/interrupts",
  "/proc/kcore",
  "/proc/keys",
  "/proc/latency_stats",
  "/proc/timer_list",
  "/proc/timer_stats",
  "/proc/sched_debug",
  "/proc/scsi",
  "/sys/firmware",
  "/sys/devices/virtual/powercap",
] as const;

export const READONLY_PATHS = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"] as const;

/** Where the program that `--init` starts is to be found. */
export const INIT_PATH = "/sbin/docker-init";

/** By this empty file programs tell that a container of Docker's is what they are in. Source: Moby, daemon/initlayer. */
export const DOCKER_MARK = "/.dockerenv";

/** The files in a container's /etc that are its own and not its image's. */
export const ETC_FILES = ["resolv.conf", "hostname", "hosts"] as const;

/** What a plan makes in a container's root when the image lacks it, most of it to mount on: no change of the container's. */
export const MOUNT_POINTS: readonly string[] = [
  ...["/dev", "/proc", "/sys", INIT_PATH, DOCKER_MARK],
  ...ETC_FILES.map((name) => `/etc/${name}`),
];

export interface DeviceNode {
  readonly path: string;
  readonly type: "c" | "b";
  readonly major: number;
  readonly minor: number;
  /** Permission bits. */
  readonly mode: number;
  /** Root's unless they are given. */
  readonly uid?: number;
  readonly gid?: number;
}

export const DEVICE_NODES: readonly DeviceNode[] = [
  { path: "/dev/null", type: "c", major: 1, minor: 3, mode: 0o666 },
  { path: "/dev/zero", type: "c", major: 1, minor: 5, mode: 0o666 },
  { path: "/dev/full", type: "c", major: 1, minor: 7, mode: 0o666 },
  { path: "/dev/random", type: "c", major: 1, minor: 8, mode: 0o666 },
  { path: "/dev/urandom", type: "c", major: 1, minor: 9, mode: 0o666 },
  { path: "/dev/tty", type: "c", major: 5, minor: 0, mode: 0o666 },
];

export const DEVICE_LINKS: readonly (readonly [target: string, path: string])[] = [
  ["/proc/self/fd", "/dev/fd"],
  ["/proc/self/fd/0", "/dev/stdin"],
  ["/proc/self/fd/1", "/dev/stdout"],
  ["/proc/self/fd/2", "/dev/stderr"],
  ["pts/ptmx", "/dev/ptmx"],
];

/** What a container may do with device nodes: make any, use the harmless ones. */
export const DEVICE_RULES: readonly DeviceRule[] = [
  { allow: false, type: "a", major: -1, minor: -1, access: "rwm" },
  { allow: true, type: "c", major: -1, minor: -1, access: "m" },
  { allow: true, type: "b", major: -1, minor: -1, access: "m" },
  ...DEVICE_NODES.map(({ type, major, minor }) => ({ allow: true, type, major, minor, access: "rwm" })),
  { allow: true, type: "c", major: 5, minor: 1, access: "rwm" }, // /dev/console
  { allow: true, type: "c", major: 5, minor: 2, access: "rwm" }, // /dev/ptmx
  { allow: true, type: "c", major: 136, minor: -1, access: "rwm" }, // /dev/pts/*
];

/** Sysctls that a container of its own network namespace gets, as Docker sets them. */
export const DEFAULT_SYSCTLS: Readonly<Record<string, string>> = {
  "net.ipv4.ip_unprivileged_port_start": "0",
  "net.ipv4.ping_group_range": "0 2147483647",
};

/** Sysctls that belong to a namespace, and so may be set for a container. */
export const NAMESPACED_SYSCTLS = {
  ipc: /^(kernel\.(msgmax|msgmnb|msgmni|sem|shmall|shmmax|shmmni|shm_rmid_forced)|fs\.mqueue\..+)$/,
  net: /^net\..+$/,
} as const;
