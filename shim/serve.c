/* Requests on shim.sock, one a connection. */
#include "watch.h"
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <termios.h>

void
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
  else if (strcmp (line, "rotations") == 0)
    stay (client, ROLE_ROTATIONS);
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

bool
wants_input (const struct watch *watch, const struct client *client)
{
  return !client->ended && client->role != ROLE_DONE
         && !(client->streams[0] && queue_size (&watch->input) >= STDIN_LIMIT);
}

void
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
void
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
