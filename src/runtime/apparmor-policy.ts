/** What AppArmor has to keep of containers that ask for nothing else. Pure. Source: apparmor.d(5); Docker documentation, "AppArmor security profiles". */

/** Docker's name, which profiles of others and scripts refer to. */
export const DEFAULT_PROFILE = "docker-default";
/** Of a process that no profile confines. */
export const UNCONFINED = "unconfined";

/** Writing what belongs to the whole machine is denied also where it can be reached: as root, in what is mounted by the program itself. */
export const DEFAULT_POLICY = `
profile ${DEFAULT_PROFILE} flags=(attach_disconnected,mediate_deleted) {
  file,
  network,
  unix,
  capability,
  umount,
  deny mount,

  signal (receive) peer=unconfined,
  signal (send, receive) peer=${DEFAULT_PROFILE},
  ptrace (trace, read, tracedby, readby) peer=${DEFAULT_PROFILE},

  deny /proc/* w,
  deny /proc/{sysrq-trigger,kcore,kmem,mem} rwklx,
  deny /proc/{acpi,bus,driver,fs,irq,scsi}/** wklx,
  deny /proc/sys/{[^k]**,k[^e]**,ke[^r]**,kernel/[^s]**,kernel/s[^h]**,kernel/sh[^m]**} wklx,

  deny /sys/[^f]** wklx,
  deny /sys/f[^s]** wklx,
  deny /sys/fs/[^c]** wklx,
  deny /sys/fs/c[^g]** wklx,
  deny /sys/{firmware,devices/virtual/powercap,kernel/security}/** rwklx,
}
`;
