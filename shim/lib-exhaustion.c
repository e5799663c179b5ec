/* Memory that a cgroup of the first generation has used up. */
#include "lib.h"
#include <sys/eventfd.h>

/* An eventfd(2) that counts whenever the cgroup at path DIRECTORY, of a memory tree, finds no memory, and once when it is removed; closing it
 * ends that. See admin-guide/cgroup-v1/memory.rst, "OOM Control". */
int
bosun_watch_exhaustion (const char *directory)
{
  char text[32];
  cleanup_close int cgroup = open (directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (cgroup < 0)
    return -errno;
  cleanup_close int state = openat (cgroup, "memory.oom_control", O_RDONLY | O_CLOEXEC);
  cleanup_close int control = openat (cgroup, "cgroup.event_control", O_WRONLY | O_CLOEXEC);
  if (state < 0 || control < 0)
    return -errno;
  int event = eventfd (0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (event < 0)
    return -errno;
  int length = snprintf (text, sizeof text, "%d %d", event, state);
  if (write (control, text, (size_t) length) >= 0)
    return event;
  int error = -errno;
  close (event);
  return error;
}
