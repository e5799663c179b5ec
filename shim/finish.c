/* The end of a container: the last output is logged, the exit is on disk, and only then is it told. */
#include "watch.h"
#include <poll.h>
#include <sys/socket.h>
#include <sys/wait.h>

void
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

int
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
