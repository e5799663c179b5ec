/* Processes that are not children of the daemon, and what a cgroup's may open. */
#include "lib.h"
#include <linux/bpf.h>
#include <sys/pidfd.h>

/* pidfd_open(2): a hold on a process that never comes to mean another one. */
int
bosun_pidfd_open (int pid)
{
  return checked (pidfd_open (pid, 0));
}

/* pidfd_send_signal(2) */
int
bosun_pidfd_kill (int pidfd, int signal)
{
  return checked (pidfd_send_signal (pidfd, signal, NULL, 0));
}

/* Lets the BPF program CODE (struct bpf_insn[], SIZE bytes) decide about devices in the v2 cgroup at path CGROUP, for as long as that
 * cgroup exists. See bpf(2), BPF_CGROUP_DEVICE. */
int
bosun_device_filter (const char *cgroup, const void *code, uint64_t size)
{
  union bpf_attr load = { .prog_type = BPF_PROG_TYPE_CGROUP_DEVICE,
                          .insns = (uint64_t) (uintptr_t) code,
                          .insn_cnt = (uint32_t) (size / sizeof (struct bpf_insn)),
                          .license = (uint64_t) (uintptr_t) "Apache" };
  cleanup_close int directory = open (cgroup, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (directory < 0)
    return -errno;
  cleanup_close int program = (int) syscall (SYS_bpf, BPF_PROG_LOAD, &load, sizeof load);
  if (program < 0)
    return -errno;
  union bpf_attr attach = { .target_fd = (uint32_t) directory,
                            .attach_bpf_fd = (uint32_t) program,
                            .attach_type = BPF_CGROUP_DEVICE,
                            .attach_flags = BPF_F_ALLOW_MULTI };
  return checked ((int) syscall (SYS_bpf, BPF_PROG_ATTACH, &attach, sizeof attach));
}
