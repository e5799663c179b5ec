/* The container's parent: one loop over its stdio, its clients and its end. The daemon is needed until `started`; from then on it
 * may come and go. */
#include "watch.h"
#include <malloc.h>
#include <poll.h>
#include <sys/wait.h>

int64_t
now_us (void)
{
  struct timespec now;
  clock_gettime (CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1000000 + now.tv_nsec / 1000;
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
  if (watch->pid > 0)
    {
      kill (watch->pid, SIGKILL);
      waitpid (watch->pid, NULL, 0);
    }
  unlinkat (watch->dir->fd, "shim.sock", 0);
  unlinkat (watch->dir->fd, "pid", 0);
  rmdir (watch->dir->path);
  return 1;
}

int
give_up (struct watch *watch, int index, int error, const char *detail)
{
  abandon (watch);
  dprintf (1, "fail %d %d %s\n", index, error, detail);
  return 1;
}

/* `go`, once, when both sides are ready for it. */
void
let_go (struct watch *watch)
{
  if (watch->released || watch->phase != READY || watch->go_size < 3 || strcmp (watch->go, "go") != 0)
    return;
  watch->released = watch->channel < 0 || write (watch->channel, "g", 1) == 1; /* without one: start_made */
}

/* @return false when the daemon is gone */
static bool
hear_daemon (struct watch *watch)
{
  ssize_t got = read (0, watch->go + watch->go_size, sizeof watch->go - 1 - watch->go_size);
  if (got <= 0)
    return got < 0 && errno == EINTR;
  watch->go_size += (size_t) got;
  let_go (watch);
  return true;
}

/* --- the child, until its program runs --- */

static int
nonblocking (int fd)
{
  return checked (fcntl (fd, F_SETFL, O_NONBLOCK));
}

void
take_terminal (struct watch *watch, const int fds[2])
{
  nonblocking (fds[0]);
  watch->out[1] = fds[0];
  watch->terminal = fds[1];
  if (watch->run->stdin_open)
    watch->in = fds[0];
}

/* The program runs: the daemon is needed no more. */
int
program_runs (struct watch *watch)
{
  watch->phase = STARTED;
  dprintf (1, "started\n");
  leave_daemon ();
  malloc_trim (0); /* the plan was there; there are many of us */
  return 0;
}

static int
end_channel (struct watch *watch)
{
  close_fd (&watch->channel);
  if (!watch->executing)
    return give_up (watch, watch->wait, EINTR, "the process was killed before its program ran");
  watch->making = watch->run->pid_file != NULL;
  return watch->making ? 0 : program_runs (watch);
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
        return give_up (watch, message.index, message.error, message.detail);
      watch->executing = message.type == MESSAGE_EXEC;
      if (message.type == MESSAGE_PTY)
        take_terminal (watch, fds);
      if (message.type != MESSAGE_READY)
        continue;
      watch->phase = READY;
      dprintf (1, "ready %d\n", watch->pid);
      let_go (watch);
    }
  return 0;
}

/* --- the loop --- */

/* Entries of the poll table; the clients' begin at FIXED. */
enum { AT_DAEMON, AT_CHANNEL, AT_PIDFD, AT_LISTENER, AT_STDOUT, AT_STDERR, AT_STDIN, FIXED };

static nfds_t
fill_table (const struct watch *watch, struct pollfd *table)
{
  bool closed = is_blocked (watch) || is_gathering (watch);
  bool pending = queue_size (&watch->input) > 0 || watch->in_ending;
  nfds_t count = FIXED;
  table[AT_DAEMON] = (struct pollfd){ .fd = watch->phase < STARTED && !watch->released ? 0 : -1, .events = POLLIN };
  table[AT_CHANNEL] = (struct pollfd){ .fd = watch->channel, .events = POLLIN };
  table[AT_PIDFD] = (struct pollfd){ .fd = watch->pidfd, .events = POLLIN };
  table[AT_LISTENER] = (struct pollfd){ .fd = watch->listener, .events = POLLIN };
  table[AT_STDOUT] = (struct pollfd){ .fd = closed ? -1 : watch->out[1], .events = POLLIN };
  table[AT_STDERR] = (struct pollfd){ .fd = closed ? -1 : watch->out[2], .events = POLLIN };
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
  unsigned int changes = watch->run->log == NULL ? 0 : log_flush (watch->run->log);
  if (changes == 0)
    return;
  for (struct client *client = watch->clients; client != NULL; client = client->next)
    if (client->role == ROLE_LOG || (client->role == ROLE_ROTATIONS && (changes & LOG_ROTATED)))
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
  malloc_trim (0);
}

/* @return microseconds; -1 for ever */
static int64_t
timeout_of (const struct watch *watch)
{
  int64_t left = watch->chunk == NULL ? -1 : IDLE_MS * 1000;
  if (watch->phase == EXITED)
    left = watch->deadline * 1000 - now_us ();
  else if (is_gathering (watch))
    left = watch->flow.resume - now_us ();
  else
    return left;
  return left > 0 ? left : 0;
}

static int
wait_for (struct pollfd *table, nfds_t count, int64_t timeout_us)
{
  struct timespec timeout = { timeout_us / 1000000, timeout_us % 1000000 * 1000 };
  return ppoll (table, count, timeout_us < 0 ? NULL : &timeout, NULL);
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
  int64_t timeout = timeout_of (watch);
  int ready = wait_for (table, count, timeout);
  if (ready < 0)
    return 0; /* EINTR */
  if (ready == 0 && timeout >= IDLE_MS * 1000)
    trim (watch);
  int code = table[AT_CHANNEL].revents != 0 ? hear_child (watch) : 0;
  if (code != 0)
    return code;
  if (table[AT_DAEMON].revents != 0 && watch->phase < STARTED && !hear_daemon (watch))
    return abandon (watch);
  if (table[AT_PIDFD].revents != 0 && watch->making)
    code = take_made (watch);
  else if (table[AT_PIDFD].revents != 0 && watch->phase == READY && watch->channel < 0)
    code = give_up (watch, watch->wait, EINTR, "the process was killed before its program ran");
  if (code == 0 && watch->phase == READY && watch->released && watch->channel < 0 && !watch->making)
    code = start_made (watch);
  if (code != 0)
    return code;
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
    .exec = find_op (plan, op_exec),
    .listener = listen_at (dir, "shim.sock"),
  };
  size_t more = plan->used - plan->end;
  self.go_size = more < sizeof self.go ? more : sizeof self.go - 1;
  memcpy (self.go, plan->text + plan->end, self.go_size);
  plan_free (plan);
  int error = self.listener < 0 ? self.listener : publish_pid (&self);
  if (error < 0)
    return give_up (&self, self.clone, -error, "the run directory");
  (void) !chdir ("/");
  while (!is_over (&self))
    {
      int code = turn (&self);
      if (code != 0)
        return code;
    }
  return finish (&self);
}
