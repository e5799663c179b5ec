/* hook: programs that a configuration has run on the way, in the container's namespaces. Source: runtime-spec config.md, "POSIX-platform
 * Hooks". */
#include "shim.h"
#include <poll.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <time.h>

/* The state as a file for stdin: a pipe could be too small for it. */
static int
state_file (const char *before, const char *after)
{
  int fd = memfd_create ("state", MFD_CLOEXEC);
  if (fd < 0)
    return -errno;
  if (dprintf (fd, "%s%d%s", before, getpid (), after) >= 0 && lseek (fd, 0, SEEK_SET) == 0)
    return fd;
  close (fd);
  return -EIO;
}

__attribute__ ((noreturn)) static void
hook_main (const char *program, int state, int output, char **argv, char **env)
{
  if (dup2 (state, 0) >= 0 && dup2 (output, 1) >= 0 && dup2 (output, 2) >= 0 && close_range (3, ~0U, 0) == 0)
    {
      execve (program, argv, env);
      dprintf (2, "%s", strerror (errno));
    }
  _exit (127);
}

/* Gathers what comes of OUTPUT into TEXT, which keeps the beginning. @return false at its end */
static bool
gather (int output, char *text, size_t *used, size_t room)
{
  char chunk[512];
  ssize_t size = read (output, chunk, sizeof chunk);
  if (size <= 0)
    return size < 0 && (errno == EINTR || errno == EAGAIN);
  size_t taken = (size_t) size < room - *used ? (size_t) size : room - *used;
  memcpy (text + *used, chunk, taken);
  *used += taken;
  return true;
}

static int64_t
clock_ms (void)
{
  struct timespec now;
  clock_gettime (CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Waits for the end of the process, not of its output, which something that it left behind may hold.
 * @return 0, or -ETIMEDOUT */
static int
attend (int pidfd, int output, int64_t limit_ms, char *text, size_t room)
{
  int64_t deadline = clock_ms () + limit_ms;
  size_t used = 0;
  bool open = true;
  for (;;)
    {
      struct pollfd table[] = { { .fd = pidfd, .events = POLLIN }, { .fd = open ? output : -1, .events = POLLIN } };
      int64_t left = deadline - clock_ms ();
      int ready = poll (table, 2, limit_ms <= 0 ? -1 : left > 0 ? (int) left : 0);
      if (ready == 0)
        return -ETIMEDOUT;
      if (ready > 0 && table[1].revents != 0)
        open = gather (output, text, &used, room);
      else if (ready > 0 && table[0].revents != 0)
        return 0;
    }
}

static int
end_hook (struct run *run, pid_t pid, int late, const char *program, const char *text)
{
  int status = 0;
  if (late < 0)
    kill (pid, SIGKILL);
  if (waitpid (pid, &status, 0) < 0)
    return -errno;
  if (late < 0)
    explain (run, "hook %s takes too long", program);
  else if (status != 0)
    explain (run, "hook %s: %s %d%s%s", program, WIFSIGNALED (status) ? "signal" : "exit status",
             WIFSIGNALED (status) ? WTERMSIG (status) : WEXITSTATUS (status), *text == '\0' ? "" : ": ", text);
  return late < 0 ? late : status != 0 ? -ECANCELED : 0;
}

/* hook SECONDS BEFORE AFTER PROGRAM COUNT ARGUMENT… VARIABLE…: COUNT arguments, from the program's name for itself on. */
int
op_hook (struct run *run, int argc, char **argv)
{
  uint64_t seconds, count;
  char text[256] = "";
  int pipes[2];
  if (parse_number (argv[0], INT32_MAX / 1000, &seconds) < 0 || parse_number (argv[4], (uint64_t) argc - 5, &count) < 0)
    return -EINVAL;
  cleanup_free char **words = calloc (count + 1, sizeof *words);
  if (words == NULL)
    return -ENOMEM;
  memcpy (words, argv + 5, count * sizeof *words);
  cleanup_close int state = state_file (argv[1], argv[2]);
  if (state < 0 || pipe2 (pipes, O_CLOEXEC) < 0)
    return state < 0 ? state : -errno;
  pid_t pid = fork ();
  if (pid == 0)
    hook_main (argv[3], state, pipes[1], words, argv + 5 + count);
  close (pipes[1]);
  cleanup_close int output = pipes[0];
  cleanup_close int pidfd = pid < 0 ? -1 : pidfd_open (pid, 0);
  if (pidfd < 0)
    return -errno;
  int late = attend (pidfd, output, (int64_t) seconds * 1000, text, sizeof text - 1);
  return end_hook (run, pid, late, argv[3], text);
}
