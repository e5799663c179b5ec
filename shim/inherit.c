/* bosun-shim inherit: the parent that leaves. The process has the caller's stdio and becomes, once it is parked or runs, a child of the
 * caller's own parent (a subreaper). With STAY 1 the shim stays until it has ended, and ends as it did. */
#include "watch.h"
#include <poll.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/wait.h>

struct handover
{
  struct run *run;
  struct child child;
  const struct rundir *dir;
  int caller;  /* socket: the plan and `go` come, reports go */
  int wait;    /* index of an operation to blame for a process that was killed */
  char go[8];
  size_t go_size;
  bool ready, released, executing;
};

enum { SEALS = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE, GOES_ON = -1 };

int
run_sealed (char **argv)
{
  struct stat info;
  cleanup_close int own = open ("/proc/self/exe", O_RDONLY | O_CLOEXEC);
  if (own < 0 || fstat (own, &info) < 0)
    return -errno;
  if ((fcntl (own, F_GET_SEALS) & SEALS) == SEALS)
    return 0;
  cleanup_close int copy = memfd_create ("bosun-shim", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (copy < 0)
    return -errno;
  for (off_t left = info.st_size; left > 0;)
    {
      ssize_t size = sendfile (copy, own, NULL, (size_t) left);
      if (size <= 0)
        return size < 0 ? -errno : -EIO;
      left -= size;
    }
  if (fcntl (copy, F_ADD_SEALS, SEALS) < 0)
    return -errno;
  fexecve (copy, argv, (char *[]){ NULL });
  return -errno;
}

static int
fail (struct handover *self, int index, int error, const char *detail)
{
  if (self->child.pid > 0)
    {
      kill (self->child.pid, SIGKILL);
      waitpid (self->child.pid, NULL, 0);
    }
  if (self->run->listener >= 0)
    unlinkat (self->dir->fd, "start.sock", 0);
  dprintf (self->caller, "fail %d %d %s\n", index, error, detail);
  return 1;
}

static void
release (struct handover *self)
{
  if (!self->released && self->ready && self->go_size >= 3 && strcmp (self->go, "go") == 0)
    self->released = write (self->child.channel, "g", 1) == 1;
}

/* The caller is needed until the process parks or runs. @return an exit code, or GOES_ON */
static int
hear_caller (struct handover *self)
{
  ssize_t got = read (self->caller, self->go + self->go_size, sizeof self->go - 1 - self->go_size);
  if (got < 0 && errno == EINTR)
    return GOES_ON;
  if (got <= 0)
    return fail (self, self->wait, EPIPE, "the caller has gone");
  self->go_size += (size_t) got;
  release (self);
  return GOES_ON;
}

/* Hands the terminal's master to the console socket. The name that goes with it is nobody's. */
static int
send_terminal (const struct run *run, int master)
{
  char control[CMSG_SPACE (sizeof (int))] = { 0 };
  struct iovec part = { (char[]){ "/dev/ptmx" }, sizeof "/dev/ptmx" - 1 };
  struct msghdr header = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control };
  struct cmsghdr *rights = CMSG_FIRSTHDR (&header);
  *rights = (struct cmsghdr){ .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN (sizeof master) };
  memcpy (CMSG_DATA (rights), &master, sizeof master);
  return sendmsg (run->console, &header, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

static int
give_terminal (struct handover *self, int fds[2])
{
  int error = send_terminal (self->run, fds[0]);
  close_fd (&fds[0]);
  close_fd (&fds[1]);
  close_fd (&self->run->console);
  return error < 0 ? fail (self, self->wait, -error, "the console socket") : GOES_ON;
}

/* @return the exit code of a process that nobody else will wait for */
static int
stay (const struct handover *self)
{
  int status = 0;
  while (waitpid (self->child.pid, &status, 0) < 0)
    if (errno != EINTR)
      return 1;
  return WIFEXITED (status) ? WEXITSTATUS (status) : 128 + WTERMSIG (status);
}

static int
end_channel (struct handover *self)
{
  if (!self->executing)
    return fail (self, self->wait, EINTR, "the process was killed before its program ran");
  dprintf (self->caller, "started\n");
  return 0;
}

static int
hear_child (struct handover *self)
{
  struct message message;
  int fds[2], code = GOES_ON;
  for (int got; code == GOES_ON && (got = channel_receive (self->child.channel, &message, fds)) != -EAGAIN;)
    {
      if (got <= 0)
        return end_channel (self);
      self->executing = message.type == MESSAGE_EXEC;
      switch (message.type)
        {
        case MESSAGE_FAIL:
          return fail (self, message.index, message.error, message.detail);
        case MESSAGE_PTY:
          code = give_terminal (self, fds);
          break;
        case MESSAGE_PARKED:
          dprintf (self->caller, "parked\n");
          return 0;
        case MESSAGE_READY:
          self->ready = true;
          dprintf (self->caller, "ready %d\n", self->child.pid);
          release (self);
          break;
        default:
          break;
        }
    }
  return code;
}

static int
hand_over (struct handover *self)
{
  int code = GOES_ON;
  while (code == GOES_ON)
    {
      struct pollfd table[]
          = { { .fd = self->child.channel, .events = POLLIN }, { .fd = self->released ? -1 : self->caller, .events = POLLIN } };
      if (poll (table, lengthof (table), -1) < 0)
        continue;
      code = table[0].revents != 0 ? hear_child (self) : GOES_ON;
      if (code == GOES_ON && table[1].revents != 0 && !self->released)
        code = hear_caller (self);
    }
  return code;
}

static bool
has_op (const struct plan *plan, operation *perform)
{
  for (int i = 0; i < plan->count; i++)
    if (plan->ops[i].operation->perform == perform)
      return true;
  return false;
}

/* All up to the process that has begun. @return 0, or -errno with *FAILURE its place */
static int
begin (struct handover *self, struct plan *plan, struct failure *failure)
{
  struct run *run = self->run;
  int error = plan_read (self->caller, plan, failure, run->detail, sizeof run->detail);
  if (error == 0 && plan->clone < 0)
    {
      explain (run, "the plan has no clone");
      error = -EINVAL;
    }
  if (error == 0)
    error = plan_perform (run, plan, 0, plan->clone, &failure->index);
  if (error < 0)
    return error;
  failure->index = self->wait = plan->clone;
  if (run->stdio == STDIO_PTY && run->console < 0)
    {
      explain (run, "a terminal needs a console socket");
      return -EINVAL;
    }
  if (has_op (plan, op_park) && (run->listener = listen_at (self->dir, "start.sock")) < 0)
    return run->listener;
  return spawn (run, plan, &self->child);
}

static void
part_from_caller (int last)
{
  static const int ignored[] = { SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGPIPE, SIGTSTP, SIGTTIN, SIGTTOU };
  for (int i = 0; i < lengthof (ignored); i++)
    signal (ignored[i], SIG_IGN);
  close_range ((unsigned int) last + 1, ~0U, 0);
  setsid ();
  prctl (PR_SET_NAME, "bosun-shim");
  umask (0);
}

/* bosun-shim inherit RUNDIR KEPT STAY */
int
inherit_main (char **argv)
{
  uint64_t kept;
  struct plan plan = { 0 };
  struct failure failure = { 0 };
  if (parse_number (argv[3], 1000, &kept) < 0)
    return 2;
  struct run run = { .root = -1, .channel = -1, .listener = -1, .console = -1, .umask = 0022, .home = "/",
                     .hands_over = true, .kept = (int) kept };
  struct rundir dir = { .fd = -1, .path = argv[2] };
  struct handover self = { .run = &run, .dir = &dir, .caller = 3 + run.kept, .child = { .pid = -1 } };
  int error = run_sealed (argv);
  if (error < 0)
    return fail (&self, INT_MAX, -error, "the shim's copy of itself");
  part_from_caller (self.caller);
  if (fcntl (self.caller, F_SETFD, FD_CLOEXEC) < 0)
    return 2;
  dir.fd = open (argv[2], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (dir.fd < 0)
    return fail (&self, INT_MAX, errno, "the run directory");
  error = begin (&self, &plan, &failure);
  if (error < 0)
    return fail (&self, failure.index, -error, run.detail);
  self.go_size = plan.used - plan.end < sizeof self.go ? plan.used - plan.end : sizeof self.go - 1;
  memcpy (self.go, plan.text + plan.end, self.go_size);
  int code = hand_over (&self);
  close (self.caller);
  return code != 0 || strcmp (argv[4], "1") != 0 ? code : stay (&self);
}
