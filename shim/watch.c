/* The container's parent: one loop over its stdio, its clients and its end. The daemon is needed until `started`; from then on it
 * may come and go. Order at the end: the last output is logged, the exit is on disk, and only then is it told. */
#include "shim.h"
#include <linux/fs.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>

enum
{
  CHUNK_SIZE = 64 << 10,   /* read at once: what a pipe holds */
  STDIN_LIMIT = 64 << 10,  /* of input that the container has not taken */
  CLIENT_LIMIT = 1 << 20,  /* of output that a client has not taken; past it the container waits */
  GRACE_SIZE = 256 << 10,  /* more than that at the end, for what lies in the pipes already */
  GRACE_MS = 2000,         /* for output after the exit, when someone outside holds a pipe open. As Docker. */
  FLUSH_MS = 600 * 1000,   /* for a client that takes nothing of its last output */
  IDLE_MS = 500,           /* then memory goes back */
  CLIENTS_LIMIT = 256,
  FIXED = 7,               /* entries of the poll table before the clients' */
};

enum phase { BUILDING, READY, STARTED, EXITED };

struct watch
{
  struct run *run;
  const struct rundir *dir;
  enum phase phase;
  pid_t pid;
  int pidfd, channel, listener;
  int clone, wait;          /* indexes of these operations, for failures that no operation reports */
  char go[8];               /* what the daemon has said after the plan */
  size_t go_size;
  bool released, executing; /* `go` was passed on; the program is about to run */
  int out[3];               /* readable ends by stream: 1 stdout (or the terminal), 2 stderr; -1 at their end */
  int in;                   /* writable end of stdin; the terminal, or -1 */
  int terminal;             /* the terminal's other side, held while the process lives */
  bool in_ending;           /* close stdin when `input` is empty */
  struct queue input;
  struct client *clients;
  char *chunk;
  siginfo_t ended;
  struct timespec ended_at;
  int64_t deadline; /* monotonic ms */
};

static int64_t
now_ms (void)
{
  struct timespec now;
  clock_gettime (CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void
close_fd (int *fd)
{
  if (*fd >= 0)
    close (*fd);
  *fd = -1;
}

/* --- the run directory --- */

/* A file appears whole or not at all. */
static int
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
static unsigned long long
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

static int
publish_pid (const struct watch *watch)
{
  char text[64];
  snprintf (text, sizeof text, "%d %llu\n", watch->pid, start_time (watch->pid));
  return publish (watch->dir, "pid", text);
}

/* Bound through the directory's descriptor: a socket's path may have 107 bytes, a run directory's has more. */
static int
listen_at (const struct rundir *dir)
{
  struct sockaddr_un address = { .sun_family = AF_UNIX };
  cleanup_close int fd = socket (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  snprintf (address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d/shim.sock", dir->fd);
  umask (0177);
  int error = fd < 0 ? -errno : checked (bind (fd, (struct sockaddr *) &address, sizeof address));
  umask (0);
  if (error < 0 || listen (fd, 64) < 0)
    return error < 0 ? error : -errno;
  int result = fd;
  fd = -1;
  return result;
}

/* --- the daemon, until `started` --- */

static void
leave_daemon (void)
{
  int null = open ("/dev/null", O_RDWR | O_CLOEXEC);
  for (int fd = 0; null >= 0 && fd < 3; fd++)
    dup2 (null, fd);
  close_fd (&null);
}

/* Nothing was started: no trace stays. */
static int
abandon (struct watch *watch)
{
  kill (watch->pid, SIGKILL);
  waitpid (watch->pid, NULL, 0);
  unlinkat (watch->dir->fd, "shim.sock", 0);
  unlinkat (watch->dir->fd, "pid", 0);
  rmdir (watch->dir->path);
  return 1;
}

static int
fail (struct watch *watch, int index, int error, const char *detail)
{
  abandon (watch);
  dprintf (1, "fail %d %d %s\n", index, error, detail);
  return 1;
}

/* `go`, once, when both sides are ready for it. */
static void
release (struct watch *watch)
{
  if (watch->released || watch->phase != READY || watch->go_size < 3 || strcmp (watch->go, "go") != 0)
    return;
  watch->released = write (watch->channel, "g", 1) == 1;
}

/* @return false when the daemon is gone */
static bool
hear_daemon (struct watch *watch)
{
  ssize_t got = read (0, watch->go + watch->go_size, sizeof watch->go - 1 - watch->go_size);
  if (got <= 0)
    return got < 0 && errno == EINTR;
  watch->go_size += (size_t) got;
  release (watch);
  return true;
}

/* --- the child, until its program runs --- */

static int
nonblocking (int fd)
{
  return checked (fcntl (fd, F_SETFL, O_NONBLOCK));
}

static void
take_terminal (struct watch *watch, const int fds[2])
{
  nonblocking (fds[0]);
  watch->out[1] = fds[0];
  watch->terminal = fds[1];
  if (watch->run->stdin_open)
    watch->in = fds[0];
}

/* @return 0, or the exit code of a shim whose plan has failed */
static int
end_channel (struct watch *watch)
{
  close_fd (&watch->channel);
  if (!watch->executing)
    return fail (watch, watch->wait, EINTR, "the process was killed before its program ran");
  watch->phase = STARTED;
  dprintf (1, "started\n");
  leave_daemon ();
  return 0;
}

static int
hear_child (struct watch *watch)
{
  struct message message;
  int fds[2];
  for (int got; (got = channel_receive (watch->channel, &message, fds)) != -EAGAIN;)
    {
      if (got <= 0)
        return end_channel (watch);
      if (message.type == MESSAGE_FAIL)
        return fail (watch, message.index, message.error, message.detail);
      watch->executing = message.type == MESSAGE_EXEC;
      if (message.type == MESSAGE_PTY)
        take_terminal (watch, fds);
      if (message.type != MESSAGE_READY)
        continue;
      watch->phase = READY;
      dprintf (1, "ready %d\n", watch->pid);
      release (watch);
    }
  return 0;
}

/* --- stdio --- */

static bool
is_pty (const struct watch *watch)
{
  return watch->run->stdio == STDIO_PTY;
}

static bool
is_blocked (const struct watch *watch)
{
  size_t limit = CLIENT_LIMIT + (watch->phase == EXITED ? GRACE_SIZE : 0);
  for (const struct client *client = watch->clients; client != NULL; client = client->next)
    if (queue_size (&client->out) >= limit)
      return true;
  return false;
}

static void
end_output (struct watch *watch, int stream)
{
  if (watch->in == watch->out[stream])
    watch->in = -1;
  close_fd (&watch->out[stream]);
}

static void
read_output (struct watch *watch, int stream)
{
  if (watch->chunk == NULL && (watch->chunk = malloc (CHUNK_SIZE)) == NULL)
    return;
  ssize_t size = read (watch->out[stream], watch->chunk, CHUNK_SIZE);
  if (size < 0 && (errno == EAGAIN || errno == EINTR))
    return;
  if (size <= 0)
    {
      end_output (watch, stream); /* a terminal ends with EIO */
      return;
    }
  if (watch->run->log != NULL)
    log_write (watch->run->log, stream, watch->chunk, (size_t) size);
  for (struct client *client = watch->clients; client != NULL; client = client->next)
    if (client->role == ROLE_ATTACH && !client->gone)
      client_output (client, stream, !is_pty (watch), watch->chunk, (size_t) size);
}

static void
write_input (struct watch *watch)
{
  while (watch->in >= 0 && queue_size (&watch->input) > 0)
    {
      ssize_t done = write (watch->in, watch->input.data + watch->input.start, queue_size (&watch->input));
      if (done < 0 && (errno == EAGAIN || errno == EINTR))
        return;
      if (done < 0 && is_pty (watch))
        watch->in = -1; /* the same descriptor as the output's */
      else if (done < 0)
        close_fd (&watch->in);
      else
        queue_take (&watch->input, (size_t) done);
    }
  if (watch->in < 0)
    queue_take (&watch->input, queue_size (&watch->input));
  else if (watch->in_ending && !is_pty (watch))
    close_fd (&watch->in);
}

/* --- clients --- */

static void
say_error (struct client *client, int error)
{
  char text[32];
  snprintf (text, sizeof text, "error %d\n", error);
  client_say (client, text);
  client->role = ROLE_DONE;
}

static void
answer (struct client *client, int error)
{
  if (error != 0)
    {
      say_error (client, error);
      return;
    }
  client_say (client, "ok\n");
  client->role = ROLE_DONE;
}

static int
resize (const struct watch *watch, unsigned int rows, unsigned int columns)
{
  struct winsize size = { .ws_row = (unsigned short) rows, .ws_col = (unsigned short) columns };
  if (!is_pty (watch) || watch->out[1] < 0)
    return ENOTTY;
  return ioctl (watch->out[1], TIOCSWINSZ, &size) < 0 ? errno : 0;
}

static void
say_pid (const struct watch *watch, struct client *client)
{
  char text[64];
  snprintf (text, sizeof text, "ok %d %llu\n", watch->pid, start_time (watch->pid));
  client_say (client, text);
  client->role = ROLE_DONE;
}

/* A request that is answered more than once. */
static void
stay (struct client *client, enum role role)
{
  client_say (client, "ok\n");
  if (client->role != ROLE_DONE)
    client->role = role;
}

static void
perform_request (const struct watch *watch, struct client *client)
{
  int in, out, err, end = 0;
  unsigned int a, b;
  const char *line = client->line;
  if (sscanf (line, "attach %d %d %d%n", &in, &out, &err, &end) == 3 && line[end] == '\0')
    {
      client->streams[0] = in != 0;
      client->streams[1] = out != 0;
      client->streams[2] = err != 0;
      stay (client, ROLE_ATTACH);
    }
  else if (sscanf (line, "resize %u %u%n", &a, &b, &end) == 2 && line[end] == '\0')
    answer (client, resize (watch, a, b));
  else if (sscanf (line, "kill %u%n", &a, &end) == 1 && line[end] == '\0')
    answer (client, watch->phase == EXITED ? ESRCH : kill (watch->pid, (int) a) < 0 ? errno : 0);
  else if (strcmp (line, "wait") == 0)
    stay (client, ROLE_WAIT);
  else if (strcmp (line, "log") == 0)
    stay (client, ROLE_LOG);
  else if (strcmp (line, "pid") == 0)
    say_pid (watch, client);
  else
    say_error (client, EINVAL);
}

/* Gathers the request's line; what follows it is the client's input already. */
static void
take_request (struct watch *watch, struct client *client, const char *data, size_t size)
{
  const char *newline = memchr (data, '\n', size);
  size_t length = newline == NULL ? size : (size_t) (newline - data);
  if (client->line_size + length >= sizeof client->line)
    {
      say_error (client, EINVAL);
      return;
    }
  memcpy (client->line + client->line_size, data, length);
  client->line_size += length;
  if (newline == NULL)
    return;
  perform_request (watch, client);
  if (client->role == ROLE_ATTACH && client->streams[0])
    queue_add (&watch->input, newline + 1, size - length - 1);
}

static void
end_client_input (struct watch *watch, struct client *client)
{
  client->ended = true;
  if (client->role == ROLE_ATTACH && client->streams[0] && watch->run->stdin_once)
    watch->in_ending = true;
}

static void
read_client (struct watch *watch, struct client *client)
{
  if (watch->chunk == NULL && (watch->chunk = malloc (CHUNK_SIZE)) == NULL)
    return;
  ssize_t size = recv (client->fd, watch->chunk, CHUNK_SIZE / 2, MSG_DONTWAIT);
  if (size < 0 && (errno == EAGAIN || errno == EINTR))
    return;
  if (size <= 0)
    {
      end_client_input (watch, client);
      client->gone |= size < 0 || client->role == ROLE_NEW;
    }
  else if (client->role == ROLE_NEW)
    take_request (watch, client, watch->chunk, (size_t) size);
  else if (client->role == ROLE_ATTACH && client->streams[0])
    queue_add (&watch->input, watch->chunk, (size_t) size);
}

static bool
wants_input (const struct watch *watch, const struct client *client)
{
  return !client->ended && client->role != ROLE_DONE
         && !(client->streams[0] && queue_size (&watch->input) >= STDIN_LIMIT);
}

static void
serve_client (struct watch *watch, struct client *client, short events)
{
  if ((events & POLLOUT) && !client_flush (client))
    client->gone = true;
  if (events & (POLLHUP | POLLERR))
    client->gone = true;
  if ((events & (POLLIN | POLLHUP | POLLERR)) && wants_input (watch, client))
    read_client (watch, client);
  if (client->gone)
    queue_take (&client->out, queue_size (&client->out));
}

/* Those that have left, and those whose answer is read. What a client wrote before it left still goes in. */
static void
drop_clients (struct watch *watch)
{
  for (struct client **at = &watch->clients; *at != NULL;)
    {
      struct client *client = *at;
      bool over = client->gone && (client->ended || client->role != ROLE_ATTACH);
      if (over || (client->role == ROLE_DONE && queue_size (&client->out) == 0))
        {
          *at = client->next;
          client_free (client);
        }
      else
        at = &client->next;
    }
}

/* --- the end --- */

static void
take_exit (struct watch *watch)
{
  if (waitid (P_PID, (id_t) watch->pid, &watch->ended, WEXITED) < 0)
    return;
  clock_gettime (CLOCK_REALTIME, &watch->ended_at);
  watch->phase = EXITED;
  watch->deadline = now_ms () + GRACE_MS;
  close_fd (&watch->pidfd);
  close_fd (&watch->terminal);
  if (is_pty (watch))
    watch->in = -1;
  else
    close_fd (&watch->in);
}

static void
format_exit (const struct watch *watch, char text[96])
{
  int signal = watch->ended.si_code == CLD_EXITED ? 0 : watch->ended.si_status;
  int code = signal == 0 ? watch->ended.si_status : 128 + signal;
  snprintf (text, 96, "%d %d %lld %ld\n", code, signal, (long long) watch->ended_at.tv_sec, watch->ended_at.tv_nsec);
}

static void
tell_exit (struct client *client, const char *exit)
{
  if (client->role == ROLE_WAIT)
    {
      client_say (client, "exit ");
      client_say (client, exit);
    }
  else if (client->role == ROLE_LOG)
    client_notify (client);
  else if (client->role == ROLE_NEW)
    say_error (client, ESRCH);
  client->role = ROLE_DONE;
}

/* Input that nobody will read must not turn the end of the output into an error of the connection. */
static void
discard_input (struct client *client, char *chunk)
{
  while (chunk != NULL && recv (client->fd, chunk, CHUNK_SIZE, MSG_DONTWAIT) > 0)
    ;
}

/* Lets the clients read what they have not yet. */
static void
flush_clients (struct watch *watch)
{
  struct pollfd table[CLIENTS_LIMIT];
  drop_clients (watch);
  while (watch->clients != NULL)
    {
      nfds_t count = 0;
      for (struct client *client = watch->clients; client != NULL && count < CLIENTS_LIMIT; client = client->next)
        table[count++] = (struct pollfd){ .fd = client->fd, .events = POLLOUT };
      if (poll (table, count, FLUSH_MS) <= 0)
        return;
      nfds_t index = 0;
      for (struct client *client = watch->clients; client != NULL && index < count; client = client->next)
        {
          short events = table[index++].revents;
          discard_input (client, watch->chunk);
          client->gone = (events & (POLLHUP | POLLERR)) != 0 || ((events & POLLOUT) && !client_flush (client));
        }
      drop_clients (watch);
    }
}

static int
finish (struct watch *watch)
{
  char exit[96];
  struct log *log = watch->run->log;
  if (log != NULL)
    {
      log_end (log);
      log_flush (log);
      log_trim (log);
    }
  format_exit (watch, exit);
  publish (watch->dir, "exit", exit);
  close_fd (&watch->listener);
  unlinkat (watch->dir->fd, "shim.sock", 0);
  for (struct client *client = watch->clients; client != NULL; client = client->next)
    {
      discard_input (client, watch->chunk);
      tell_exit (client, exit);
    }
  flush_clients (watch);
  return 0;
}

/* --- the loop --- */

enum { AT_DAEMON, AT_CHANNEL, AT_PIDFD, AT_LISTENER, AT_STDOUT, AT_STDERR, AT_STDIN };

static nfds_t
fill_table (const struct watch *watch, struct pollfd *table)
{
  bool blocked = is_blocked (watch);
  bool pending = queue_size (&watch->input) > 0 || watch->in_ending;
  nfds_t count = FIXED;
  table[AT_DAEMON] = (struct pollfd){ .fd = watch->phase < STARTED && !watch->released ? 0 : -1, .events = POLLIN };
  table[AT_CHANNEL] = (struct pollfd){ .fd = watch->channel, .events = POLLIN };
  table[AT_PIDFD] = (struct pollfd){ .fd = watch->pidfd, .events = POLLIN };
  table[AT_LISTENER] = (struct pollfd){ .fd = watch->listener, .events = POLLIN };
  table[AT_STDOUT] = (struct pollfd){ .fd = blocked ? -1 : watch->out[1], .events = POLLIN };
  table[AT_STDERR] = (struct pollfd){ .fd = blocked ? -1 : watch->out[2], .events = POLLIN };
  table[AT_STDIN] = (struct pollfd){ .fd = pending ? watch->in : -1, .events = POLLOUT };
  for (const struct client *client = watch->clients; client != NULL && count < FIXED + CLIENTS_LIMIT; client = client->next)
    {
      bool input = wants_input (watch, client), output = queue_size (&client->out) > 0;
      table[count++] = (struct pollfd){ .fd = client->gone && !input ? -1 : client->fd,
                                        .events = (short) ((input ? POLLIN : 0) | (output ? POLLOUT : 0)) };
    }
  if (count == FIXED + CLIENTS_LIMIT)
    table[AT_LISTENER].fd = -1;
  return count;
}

/* Only what was in TABLE; who connected since comes before it in the list. */
static void
serve_clients (struct watch *watch, const struct pollfd *table, nfds_t count)
{
  nfds_t at = FIXED;
  for (struct client *client = watch->clients; client != NULL && at < count; client = client->next, at++)
    if (table[at].revents != 0 && table[at].fd >= 0)
      serve_client (watch, client, table[at].revents);
  drop_clients (watch);
  write_input (watch);
  if (table[AT_LISTENER].revents != 0)
    watch->clients = client_accept (watch->listener, watch->clients);
}

static void
serve_log (struct watch *watch)
{
  if (watch->run->log == NULL || !log_flush (watch->run->log))
    return;
  for (struct client *client = watch->clients; client != NULL; client = client->next)
    if (client->role == ROLE_LOG)
      client_notify (client);
}

static void
trim (struct watch *watch)
{
  free (watch->chunk);
  watch->chunk = NULL;
  queue_trim (&watch->input);
  if (watch->run->log != NULL)
    log_trim (watch->run->log);
  for (struct client *client = watch->clients; client != NULL; client = client->next)
    queue_trim (&client->out);
}

static int
timeout_of (const struct watch *watch)
{
  if (watch->phase != EXITED)
    return watch->chunk == NULL ? -1 : IDLE_MS;
  int64_t left = watch->deadline - now_ms ();
  return left > 0 ? (int) left : 0;
}

static bool
is_over (const struct watch *watch)
{
  return watch->phase == EXITED && ((watch->out[1] < 0 && watch->out[2] < 0) || now_ms () >= watch->deadline);
}

/* One turn. @return 0, or the exit code of a shim whose plan has failed */
static int
turn (struct watch *watch)
{
  struct pollfd table[FIXED + CLIENTS_LIMIT];
  nfds_t count = fill_table (watch, table);
  int ready = poll (table, count, timeout_of (watch));
  if (ready < 0)
    return 0; /* EINTR */
  if (ready == 0)
    trim (watch);
  int code = table[AT_CHANNEL].revents != 0 ? hear_child (watch) : 0;
  if (code != 0)
    return code;
  if (table[AT_DAEMON].revents != 0 && watch->phase < STARTED && !hear_daemon (watch))
    return abandon (watch);
  for (int stream = 1; stream <= 2; stream++)
    if (table[AT_STDOUT + stream - 1].revents != 0 && watch->out[stream] >= 0)
      read_output (watch, stream);
  serve_clients (watch, table, count);
  serve_log (watch);
  if (table[AT_PIDFD].revents != 0 && watch->phase == STARTED)
    take_exit (watch);
  return 0;
}

static int
find_op (const struct plan *plan, operation *perform)
{
  for (int i = 0; i < plan->count; i++)
    if (plan->ops[i].operation->perform == perform)
      return i;
  return plan->clone;
}

int
watch (struct run *run, struct plan *plan, const struct child *child, const struct rundir *dir)
{
  struct watch self = {
    .run = run, .dir = dir, .pid = child->pid, .pidfd = child->pidfd, .channel = child->channel, .in = child->in,
    .out = { -1, child->out, child->err }, .terminal = -1, .clone = plan->clone, .wait = find_op (plan, op_wait),
    .listener = listen_at (dir),
  };
  size_t more = plan->used - plan->end;
  self.go_size = more < sizeof self.go ? more : sizeof self.go - 1;
  memcpy (self.go, plan->text + plan->end, self.go_size);
  plan_free (plan);
  int error = self.listener < 0 ? self.listener : publish_pid (&self);
  if (error < 0)
    return fail (&self, self.clone, -error, "the run directory");
  (void) !chdir ("/");
  while (!is_over (&self))
    {
      int code = turn (&self);
      if (code != 0)
        return code;
    }
  return finish (&self);
}
