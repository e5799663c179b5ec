/* What a process is to the kernel beside its namespaces and privileges: scheduling, label, mappings of users. */
#include "shim.h"
#include <linux/ioprio.h>
#include <sys/personality.h>
#include <sys/socket.h>
#include <sys/un.h>

/* map UIDS GIDS: lines for uid_map and gid_map of the user namespace that `clone` makes. See user_namespaces(7). */
int
op_map (struct run *run, int, char **argv)
{
  run->uid_map = strdup (argv[0]);
  run->gid_map = strdup (argv[1]);
  return run->uid_map == NULL || run->gid_map == NULL ? -ENOMEM : 0;
}

/* console-socket PATH: the terminal will go there. Through a descriptor, since PATH may be longer than an address. */
int
op_console_socket (struct run *run, int, char **argv)
{
  struct sockaddr_un address = { .sun_family = AF_UNIX };
  cleanup_close int place = open (argv[0], O_PATH | O_CLOEXEC);
  if (place < 0 || !run->hands_over)
    return place < 0 ? -errno : -EINVAL;
  snprintf (address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d", place);
  run->console = socket (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  return run->console < 0 ? -errno : checked (connect (run->console, (struct sockaddr *) &address, sizeof address));
}

/* label FILE TEXT: what a security module is told of the program to come, in a file as /proc/thread-self/attr/exec. */
int
op_label (struct run *, int, char **argv)
{
  return write_file (argv[0], argv[1]);
}

/* io-priority CLASS LEVEL: see ioprio_set(2). */
int
op_io_priority (struct run *, int, char **argv)
{
  uint64_t class, level;
  if (parse_number (argv[0], IOPRIO_CLASS_IDLE, &class) < 0 || parse_number (argv[1], 7, &level) < 0)
    return -EINVAL;
  return checked ((int) syscall (SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, IOPRIO_PRIO_VALUE ((int) class, (int) level)));
}

/* As the kernel has it; its header and the C library's define struct sched_param both. Source: sched_setattr(2). */
struct scheduling
{
  uint32_t size, policy;
  uint64_t flags;
  int32_t nice;
  uint32_t priority;
  uint64_t runtime, deadline, period;
};

/* scheduler POLICY FLAGS NICE PRIORITY RUNTIME DEADLINE PERIOD: see sched_setattr(2). NICE is from -20 to 19. */
int
op_scheduler (struct run *, int, char **argv)
{
  uint64_t policy, flags, priority, runtime, deadline, period;
  if (parse_number (argv[0], UINT32_MAX, &policy) < 0 || parse_number (argv[1], UINT64_MAX, &flags) < 0
      || parse_number (argv[3], UINT32_MAX, &priority) < 0 || parse_number (argv[4], UINT64_MAX, &runtime) < 0
      || parse_number (argv[5], UINT64_MAX, &deadline) < 0 || parse_number (argv[6], UINT64_MAX, &period) < 0)
    return -EINVAL;
  struct scheduling wanted = { sizeof wanted, (uint32_t) policy, flags, atoi (argv[2]), (uint32_t) priority,
                               runtime, deadline, period };
  return checked ((int) syscall (SYS_sched_setattr, 0, &wanted, 0));
}

/* personality DOMAIN: see personality(2). */
int
op_personality (struct run *, int, char **argv)
{
  uint64_t domain;
  return parse_number (argv[0], UINT32_MAX, &domain) < 0 ? -EINVAL : checked (personality (domain));
}
