/* A process that an OCI runtime makes: the plan's program is the runtime, which ends when it has made the process and named it in a file.
 * The shim, a subreaper, becomes the parent of that one and watches it as any other. */
#include "watch.h"
#include <sys/ioctl.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

static int
listen_for_terminal (const char *path)
{
  struct sockaddr_un address = { .sun_family = AF_UNIX };
  if (snprintf (address.sun_path, sizeof address.sun_path, "%s", path) >= (int) sizeof address.sun_path)
    return -ENAMETOOLONG;
  cleanup_close int fd = socket (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0 || bind (fd, (struct sockaddr *) &address, sizeof address) < 0 || listen (fd, 1) < 0)
    return -errno;
  int result = fd;
  fd = -1;
  return result;
}

/* Words of a plan that outlive it. */
static char **
copy_words (int count, char **words)
{
  char **copy = calloc ((size_t) count + 1, sizeof *copy);
  for (int i = 0; copy != NULL && i < count; i++)
    if ((copy[i] = strdup (words[i])) == NULL)
      return NULL;
  return copy;
}

/* runtime PIDFILE CONSOLE [START…] */
int
op_runtime (struct run *run, int argc, char **argv)
{
  if (run->hands_over)
    return -EINVAL;
  run->pid_file = strdup (argv[0]);
  run->starter = copy_words (argc - 2, argv + 2);
  if (run->pid_file == NULL || run->starter == NULL)
    return -ENOMEM;
  if (argv[1][0] != '\0' && (run->console = listen_for_terminal (argv[1])) < 0)
    return run->console;
  return checked (prctl (PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0));
}

static pid_t
read_pid (const char *path)
{
  char text[32];
  uint64_t pid;
  cleanup_close int fd = open (path, O_RDONLY | O_CLOEXEC);
  ssize_t size = fd < 0 ? -1 : read (fd, text, sizeof text - 1);
  if (size <= 0)
    return -ESRCH;
  text[size] = '\0';
  text[strcspn (text, "\n")] = '\0';
  return parse_number (text, INT32_MAX, &pid) < 0 ? -ESRCH : (pid_t) pid;
}

/* The terminal's master came over the console socket. Its other side is held as well, without which it would hang up between two openers. */
static int
receive_terminal (struct watch *watch)
{
  char control[CMSG_SPACE (sizeof (int))] = { 0 }, name[256];
  struct iovec part = { name, sizeof name };
  struct msghdr header = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control };
  int fds[2];
  cleanup_close int peer = accept4 (watch->run->console, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
  if (peer < 0 || recvmsg (peer, &header, MSG_CMSG_CLOEXEC) < 0)
    return -errno;
  struct cmsghdr *rights = CMSG_FIRSTHDR (&header);
  if (rights == NULL || rights->cmsg_type != SCM_RIGHTS || rights->cmsg_len != CMSG_LEN (sizeof (int)))
    return -EPROTO;
  memcpy (&fds[0], CMSG_DATA (rights), sizeof fds[0]);
  fds[1] = ioctl (fds[0], TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
  take_terminal (watch, fds);
  close_fd (&watch->run->console);
  return 0;
}

/* From the runtime to what it has made. */
static int
follow_made (struct watch *watch)
{
  watch->pid = read_pid (watch->run->pid_file);
  watch->pidfd = watch->pid < 0 ? watch->pid : checked (pidfd_open (watch->pid, 0));
  if (watch->pidfd < 0)
    return watch->pidfd;
  int error = publish_pid (watch);
  return error == 0 && watch->run->console >= 0 ? receive_terminal (watch) : error;
}

/* The runtime has ended. */
int
take_made (struct watch *watch)
{
  siginfo_t ended = { 0 };
  waitid (P_PID, (id_t) watch->pid, &ended, WEXITED);
  close_fd (&watch->pidfd);
  watch->making = false;
  watch->pid = -1;
  if (ended.si_code != CLD_EXITED || ended.si_status != 0)
    return give_up (watch, watch->exec, ECANCELED, "the runtime has failed");
  int error = follow_made (watch);
  if (error < 0)
    return give_up (watch, watch->exec, -error, "what the runtime has made");
  if (watch->run->starter[0] == NULL)
    return program_runs (watch);
  watch->phase = READY;
  dprintf (1, "ready %d\n", watch->pid);
  let_go (watch);
  return 0;
}

__attribute__ ((noreturn)) static void
starter_main (char **argv)
{
  struct sigaction standard = { .sa_handler = SIG_DFL };
  int null = open ("/dev/null", O_RDWR);
  for (int fd = 0; fd < 3; fd++)
    dup2 (null, fd);
  for (int number = 1; number < NSIG; number++)
    sigaction (number, &standard, NULL);
  close_range (3, ~0U, 0);
  execve (argv[0], argv, (char *[]){ "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", NULL });
  _exit (127);
}

/* `go`, for what is made and stands. */
int
start_made (struct watch *watch)
{
  int status = -1;
  pid_t pid = fork ();
  if (pid == 0)
    starter_main (watch->run->starter);
  if (pid < 0 || waitpid (pid, &status, 0) < 0)
    return give_up (watch, watch->exec, errno, "the runtime");
  return status == 0 ? program_runs (watch) : give_up (watch, watch->exec, ECANCELED, "the runtime has failed");
}
