/* bosun-net: dispatch, and the loop that all of its modes share. */
#include "net.h"
#include <sys/resource.h>
#include <sys/syscall.h>
#include <grp.h>
#include <time.h>

enum { NOBODY = 65534, MOST_EVENTS = 64 };

static int loop_fd = -1;
void (*loop_idle) (void) = NULL;

int
loop_open (void)
{
  loop_fd = epoll_create1 (EPOLL_CLOEXEC);
  return checked (loop_fd);
}

static int
control (int action, struct source *source, uint32_t events)
{
  struct epoll_event event = { .events = events, .data.ptr = source };
  return checked (epoll_ctl (loop_fd, action, source->fd, &event));
}

int
loop_watch (struct source *source, uint32_t events)
{
  return control (EPOLL_CTL_ADD, source, events);
}

int
loop_change (struct source *source, uint32_t events)
{
  return control (EPOLL_CTL_MOD, source, events);
}

/* Events that the kernel has told already may follow still: whoever owns SOURCE frees it when the loop is idle. */
void
loop_forget (struct source *source)
{
  control (EPOLL_CTL_DEL, source, 0);
  source->ready = NULL;
}

int64_t
now_ms (void)
{
  struct timespec now;
  clock_gettime (CLOCK_MONOTONIC, &now);
  return (int64_t) now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void
loop_run (void (*every) (void), int ms)
{
  struct epoll_event events[MOST_EVENTS];
  int64_t next = now_ms () + ms;
  for (;;)
    {
      int64_t left = next - now_ms ();
      int count = epoll_wait (loop_fd, events, MOST_EVENTS, every == NULL ? -1 : left < 0 ? 0 : (int) left);
      for (int i = 0; i < count; i++)
        {
          struct source *source = events[i].data.ptr;
          if (source->ready != NULL)
            source->ready (source, events[i].events);
        }
      if (loop_idle != NULL)
        loop_idle ();
      if (every != NULL && now_ms () >= next)
        {
          every ();
          next = now_ms () + ms;
        }
    }
}

int
address_parse (const char *text, uint16_t port, union address *out)
{
  *out = (union address){ 0 };
  if (inet_pton (AF_INET, text, &out->v4.sin_addr) == 1)
    {
      out->v4.sin_family = AF_INET;
      out->v4.sin_port = htons (port);
      return 0;
    }
  if (inet_pton (AF_INET6, text, &out->v6.sin6_addr) != 1)
    return -EINVAL;
  out->v6.sin6_family = AF_INET6;
  out->v6.sin6_port = htons (port);
  return 0;
}

socklen_t
address_size (const union address *address)
{
  return address->any.sa_family == AF_INET ? sizeof address->v4 : sizeof address->v6;
}

static void
ended (struct source *source, uint32_t events)
{
  (void) source;
  (void) events;
  _exit (0);
}

/* What is left to do needs no privilege. */
static void
drop_privileges (void)
{
  (void) !setgroups (0, NULL);
  if (setresgid (NOBODY, NOBODY, NOBODY) < 0 || setresuid (NOBODY, NOBODY, NOBODY) < 0)
    _exit (1);
  prctl (PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
}

int
follow (pid_t pid)
{
  static struct source process;
  process = (struct source){ .fd = (int) syscall (SYS_pidfd_open, pid, 0), .ready = ended };
  return process.fd < 0 ? -errno : loop_watch (&process, EPOLLIN);
}

static void
let_go (void)
{
  int null = open ("/dev/null", O_RDWR);
  for (int fd = 0; fd < 3; fd++)
    dup2 (null, fd);
  if (null > 2)
    close (null);
  drop_privileges ();
}

/* The caller's word. Without one it has ended before it could write down that we are here: nobody would ever end us. */
static void
hear_caller (char *line, size_t room)
{
  size_t size = 0;
  while (size < room - 1 && read (0, line + size, 1) == 1 && line[size] != '\n')
    size++;
  line[size] = '\0';
  if (size == 0)
    _exit (1);
}

void
await_caller (void)
{
  char line[32];
  hear_caller (line, sizeof line);
  let_go ();
}

void
follow_caller (void)
{
  char line[32];
  uint64_t pid;
  hear_caller (line, sizeof line);
  if (parse_number (line, INT_MAX, &pid) < 0)
    _exit (1);
  int error = follow ((pid_t) pid);
  if (error < 0)
    _exit (error == -ESRCH ? 0 : 1); /* it has ended already */
  let_go ();
}

/* A daemon's fate must not be this process's. Descriptors: as many as there may be. */
static void
detach (void)
{
  struct rlimit files;
  signal (SIGPIPE, SIG_IGN);
  signal (SIGHUP, SIG_IGN);
  close_range (3, ~0U, 0);
  setsid ();
  prctl (PR_SET_NAME, "bosun-net");
  if (getrlimit (RLIMIT_NOFILE, &files) == 0)
    {
      files.rlim_cur = files.rlim_max;
      setrlimit (RLIMIT_NOFILE, &files);
    }
}

static const struct mode
{
  const char *name;
  int (*run) (char **words);
} modes[] = {
  { "ports", ports_main },
  { "hold", hold_main },
  { "names", names_main },
};

int
main (int argc, char **argv)
{
  for (int i = 0; argc > 1 && i < lengthof (modes); i++)
    if (strcmp (argv[1], modes[i].name) == 0)
      {
        detach ();
        return loop_open () < 0 ? 1 : modes[i].run (argv + 2);
      }
  dprintf (2, "usage: bosun-net ports|hold [early] {tcp|udp ADDRESS[,ADDRESS] LOW-HIGH TARGET PORT}…\n"
              "       bosun-net names PID FOLDER CONTAINER\n");
  return 2;
}
