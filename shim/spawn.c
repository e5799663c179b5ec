/* The child: cloned with the namespaces of the plan, it performs what follows `clone` and ends in the container's program.
 * The channel between the two is one SOCK_SEQPACKET pair that closes when the program is executed. */
#include "shim.h"
#include <grp.h>
#include <linux/sched.h>
#include <sys/socket.h>

int
channel_send (struct run *run, char type, const int *fds, int count)
{
  if (run->parked)
    return dprintf (run->channel, "exec\n") < 0 ? -errno : 0; /* all that is left to say */
  char control[CMSG_SPACE (2 * sizeof (int))] = { 0 };
  struct message message = { .type = type };
  struct iovec part = { &message, offsetof (struct message, detail) };
  struct msghdr header = { .msg_iov = &part, .msg_iovlen = 1 };
  if (count > 0)
    {
      size_t size = (size_t) count * sizeof *fds;
      header.msg_control = control;
      header.msg_controllen = CMSG_SPACE (size);
      struct cmsghdr *rights = CMSG_FIRSTHDR (&header);
      *rights = (struct cmsghdr){ .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN (size) };
      memcpy (CMSG_DATA (rights), fds, size);
    }
  return sendmsg (run->channel, &header, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

int
channel_receive (int channel, struct message *message, int fds[2])
{
  char control[CMSG_SPACE (2 * sizeof (int))] = { 0 };
  struct iovec part = { message, sizeof *message };
  struct msghdr header
      = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control };
  memset (message, 0, sizeof *message);
  fds[0] = fds[1] = -1;
  ssize_t got = recvmsg (channel, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  if (got <= 0)
    return got == 0 || errno == ECONNRESET ? 0 : -errno;
  struct cmsghdr *rights = CMSG_FIRSTHDR (&header);
  if (rights != NULL && rights->cmsg_type == SCM_RIGHTS)
    memcpy (fds, CMSG_DATA (rights), rights->cmsg_len - CMSG_LEN (0));
  return 1;
}

/* A pipe whose end END (0 reads, 1 writes) the parent keeps, never blocking on it. */
static int
stdio_pipe (int end, int *parents, int *childs)
{
  int fds[2];
  if (pipe2 (fds, O_CLOEXEC) < 0)
    return -errno;
  *parents = fds[end];
  *childs = fds[1 - end];
  return fcntl (*parents, F_SETFL, O_NONBLOCK) < 0 ? -errno : 0;
}

/* Descriptors 0-2 for the child: /dev/null where there is no pipe. A terminal comes later, from the container's own devpts. */
static int
make_stdio (const struct run *run, struct child *child, int childs[3])
{
  child->in = child->out = child->err = -1;
  if (run->stdio == STDIO_INHERIT)
    return 0;
  for (int i = 0; i < 3; i++)
    {
      childs[i] = open ("/dev/null", O_RDWR | O_CLOEXEC);
      if (childs[i] < 0)
        return -errno;
    }
  if (run->stdio != STDIO_PIPE)
    return 0;
  int error = 0;
  close (childs[1]);
  close (childs[2]);
  if (run->stdin_open)
    {
      close (childs[0]);
      error = stdio_pipe (1, &child->in, &childs[0]);
    }
  if (error == 0)
    error = stdio_pipe (0, &child->out, &childs[1]);
  return error < 0 ? error : stdio_pipe (0, &child->err, &childs[2]);
}

/* Nothing of the parent stays but stdio, what is kept, the channel and behind it the listener. */
static int
enter_child (struct run *run, const int childs[3], int channel)
{
  int place = channel_place (run), last = place;
  struct sigaction standard = { .sa_handler = SIG_DFL };
  sigset_t none;
  /* stdio and channel all lie above 2, since 0-2 are the parent's own; the channel may lie on 3 already */
  for (int i = 0; i < 3; i++)
    if (childs[i] >= 0 && dup2 (childs[i], i) < 0)
      return -errno;
  if (channel != place && dup2 (channel, place) < 0)
    return -errno;
  run->channel = place;
  if (run->listener >= 0)
    {
      last = place + 1;
      if (run->listener != last && dup3 (run->listener, last, O_CLOEXEC) < 0)
        return -errno;
      run->listener = last;
    }
  if (fcntl (place, F_SETFD, FD_CLOEXEC) < 0 || close_range ((unsigned int) last + 1, ~0U, 0) < 0)
    return -errno;
  for (int number = 1; number < NSIG; number++)
    sigaction (number, &standard, NULL);
  sigemptyset (&none);
  sigprocmask (SIG_SETMASK, &none, NULL);
  /* Whoever is in the container already must neither trace this process nor reach the host through its /proc entries. */
  return checked (prctl (PR_SET_DUMPABLE, 0, 0, 0, 0));
}

/* In a new user namespace nobody is anybody until the parent has written the mappings; then this is its root. */
static int
await_mapping (struct run *run)
{
  char go;
  if (run->uid_map == NULL)
    return 0;
  if (read (run->channel, &go, 1) != 1)
    return -EPIPE;
  if (setgroups (0, NULL) < 0 || setresgid (0, 0, 0) < 0 || setresuid (0, 0, 0) < 0)
    return -errno;
  return checked (prctl (PR_SET_DUMPABLE, 0, 0, 0, 0));
}

static int
write_mapping (const struct run *run, const struct child *child)
{
  char path[64];
  if (run->uid_map == NULL)
    return 0;
  snprintf (path, sizeof path, "/proc/%d/uid_map", child->pid);
  int error = write_file (path, run->uid_map);
  snprintf (path, sizeof path, "/proc/%d/gid_map", child->pid);
  if (error == 0)
    error = write_file (path, run->gid_map);
  return error < 0 ? error : checked ((int) write (child->channel, "m", 1));
}

/* To the parent as a message, to whoever starts a parked process as a line. */
static void
send_failure (struct run *run, struct message *message)
{
  snprintf (message->detail, sizeof message->detail, "%s", run->detail);
  if (run->parked)
    dprintf (run->channel, "fail %d %d %s\n", message->index, message->error, message->detail);
  else
    (void) !send (run->channel, message, sizeof *message, MSG_NOSIGNAL);
}

__attribute__ ((noreturn)) static void
child_main (struct run *run, const struct plan *plan, const int childs[3], int channel)
{
  struct message message = { .type = MESSAGE_FAIL, .index = plan->clone };
  int error = enter_child (run, childs, channel);
  if (error == 0)
    error = await_mapping (run);
  if (error == 0)
    error = plan_perform (run, plan, plan->clone + 1, plan->count, &message.index);
  if (error == 0)
    {
      message.index = plan->clone;
      explain (run, "the plan has no exec");
      error = -EINVAL;
    }
  message.error = -error;
  send_failure (run, &message);
  _exit (127);
}

int
spawn (struct run *run, const struct plan *plan, struct child *child)
{
  uint64_t flags;
  int channel[2], childs[3] = { -1, -1, -1 };
  if (parse_number (plan->ops[plan->clone].argv[0], UINT32_MAX, &flags) < 0)
    return -EINVAL;
  if (socketpair (AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, channel) < 0)
    return -errno;
  int error = make_stdio (run, child, childs);
  if (error < 0)
    return error;
  struct clone_args arguments
      = { .flags = flags | CLONE_PIDFD, .pidfd = (uint64_t) (uintptr_t) &child->pidfd, .exit_signal = SIGCHLD };
  cleanup_close int cgroup = -1;
  if (plan->ops[plan->clone].argc > 1)
    {
      cgroup = open (plan->ops[plan->clone].argv[1], O_PATH | O_DIRECTORY | O_CLOEXEC);
      if (cgroup < 0)
        return -errno;
      arguments.flags |= CLONE_INTO_CGROUP;
      arguments.cgroup = (unsigned int) cgroup;
    }
  child->pid = (pid_t) syscall (SYS_clone3, &arguments, sizeof arguments);
  if (child->pid < 0)
    return -errno;
  if (child->pid == 0)
    child_main (run, plan, childs, channel[1]);
  for (int i = 0; i < 3; i++)
    if (childs[i] >= 0)
      close (childs[i]);
  close (channel[1]);
  child->channel = channel[0];
  return write_mapping (run, child);
}
