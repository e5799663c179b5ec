/* The run directory: what a daemon that was restarted finds of a container. */
#include "watch.h"
#include <sys/socket.h>
#include <sys/un.h>

/* A file appears whole or not at all. */
int
publish (const struct rundir *dir, const char *name, const char *text)
{
  char fresh[32];
  snprintf (fresh, sizeof fresh, "new-%s", name);
  cleanup_close int fd = openat (dir->fd, fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd < 0 || write (fd, text, strlen (text)) < 0)
    return -errno;
  return checked (renameat (dir->fd, fresh, dir->fd, name));
}

/* When PID started, in clock ticks after boot: with the pid, a name that is never used twice. See proc_pid_stat(5), field 22. */
unsigned long long
start_time (pid_t pid)
{
  char path[32], text[1024];
  unsigned long long ticks = 0;
  snprintf (path, sizeof path, "/proc/%d/stat", pid);
  cleanup_close int fd = open (path, O_RDONLY | O_CLOEXEC);
  ssize_t size = fd < 0 ? -1 : read (fd, text, sizeof text - 1);
  if (size <= 0)
    return 0;
  text[size] = '\0';
  const char *at = strrchr (text, ')');
  for (int field = 2; at != NULL && field < 22; field++)
    at = strchr (at + 1, ' ');
  if (at != NULL)
    ticks = strtoull (at, NULL, 10);
  return ticks;
}

int
publish_pid (const struct watch *watch)
{
  char text[64];
  snprintf (text, sizeof text, "%d %llu\n", watch->pid, start_time (watch->pid));
  return publish (watch->dir, "pid", text);
}

/* Bound through the directory's descriptor: a socket's path may have 107 bytes, a run directory's has more. */
int
listen_at (const struct rundir *dir, const char *name)
{
  struct sockaddr_un address = { .sun_family = AF_UNIX };
  cleanup_close int fd = socket (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  snprintf (address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d/%s", dir->fd, name);
  umask (0177);
  int error = fd < 0 ? -errno : checked (bind (fd, (struct sockaddr *) &address, sizeof address));
  umask (0);
  if (error < 0 || listen (fd, 64) < 0)
    return error < 0 ? error : -errno;
  int result = fd;
  fd = -1;
  return result;
}
