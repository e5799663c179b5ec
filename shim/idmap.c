/* Mounts on which files have other owners than on disk. The kernel takes the mapping from a user namespace: one is made for it, of a process
 * that does nothing and is gone again before the plan goes on. See mount_setattr(2), "ID-mapped mounts". */
#include "mount.h"
#include <linux/sched.h>
#include <sys/wait.h>

/* The pid of a process as /proc counts, whichever pid namespace this process is in. */
static int
pid_in_proc (int pidfd)
{
  char path[64], line[128];
  int pid = -ESRCH;
  snprintf (path, sizeof path, "/proc/self/fdinfo/%d", pidfd);
  FILE *file = fopen (path, "re");
  if (file == NULL)
    return -errno;
  while (fgets (line, sizeof line, file) != NULL)
    if (sscanf (line, "Pid: %d", &pid) == 1)
      break;
  fclose (file);
  return pid > 0 ? pid : -ESRCH;
}

/* MAP as of /proc/<pid>/uid_map, all of it in one write. */
static int
write_map (int pid, const char *name, const char *map)
{
  char path[64];
  snprintf (path, sizeof path, "/proc/%d/%s", pid, name);
  return write_file (path, map);
}

static int
open_namespace (int pidfd, const char *uids, const char *gids)
{
  char path[64];
  int pid = pid_in_proc (pidfd);
  int error = pid < 0 ? pid : write_map (pid, "uid_map", uids);
  if (error == 0)
    error = write_map (pid, "gid_map", gids);
  if (error < 0)
    return error;
  snprintf (path, sizeof path, "/proc/%d/ns/user", pid);
  return checked (open (path, O_RDONLY | O_CLOEXEC));
}

/* @return a descriptor of a user namespace with these maps */
static int
make_namespace (const char *uids, const char *gids)
{
  int pidfd = -1;
  struct clone_args arguments
      = { .flags = CLONE_NEWUSER | CLONE_PIDFD, .pidfd = (uint64_t) (uintptr_t) &pidfd, .exit_signal = SIGCHLD };
  pid_t pid = (pid_t) syscall (SYS_clone3, &arguments, sizeof arguments);
  if (pid < 0)
    return -errno;
  if (pid == 0)
    {
      prctl (PR_SET_PDEATHSIG, SIGKILL);
      for (;;)
        pause ();
    }
  int namespace = open_namespace (pidfd, uids, gids);
  kill (pid, SIGKILL);
  waitpid (pid, NULL, 0);
  close (pidfd);
  return namespace;
}

/* Gives the detached mount TREE these maps. */
int
map_ids (struct run *run, int tree, const char *uids, const char *gids)
{
  cleanup_close int namespace = make_namespace (uids, gids);
  if (namespace < 0)
    {
      explain (run, "a user namespace for the id mapping");
      return namespace;
    }
  struct mount_attr wanted = { .attr_set = MOUNT_ATTR_IDMAP, .userns_fd = (unsigned int) namespace };
  if (mount_setattr (tree, "", AT_EMPTY_PATH, &wanted, sizeof wanted) == 0)
    return 0;
  int error = -errno;
  explain (run, "its file system cannot map ids");
  return error;
}
