/* Clients that ask over TCP: one question at a time, each after its length (RFC 7766). */
#include "net-names.h"

enum { MOST_CONNECTIONS = 64, IDLE_MS = 10 * 1000, QUERY_MOST = 4096 };

struct connection
{
  struct source source;
  uint8_t asked[2 + QUERY_MOST];
  size_t got;
  uint8_t *answer; /* that is being sent */
  size_t size, sent;
  bool waiting; /* for an answer */
  int64_t used_ms;
  struct connection *next; /* of those that are to be freed */
};

static struct connection *connections[MOST_CONNECTIONS];
static struct connection *dead;
static int connection_count;
static void (*idle_before) (void);

static void
end (struct connection *connection)
{
  upstream_forget (connection);
  loop_forget (&connection->source);
  close (connection->source.fd);
  connection->source.fd = -1;
  for (int i = 0; i < connection_count; i++)
    if (connections[i] == connection)
      connections[i--] = connections[--connection_count];
  connection->next = dead;
  dead = connection;
}

static void
bury (void)
{
  idle_before ();
  while (dead != NULL)
    {
      struct connection *one = dead;
      dead = one->next;
      free (one->answer);
      free (one);
    }
}

static void
ask (struct connection *connection)
{
  struct client client = { .connection = connection, .id = get16 (connection->asked + 2) };
  connection->waiting = true;
  loop_change (&connection->source, 0);
  names_asked (&client, connection->asked + 2, connection->got - 2);
}

static void
read_more (struct connection *connection)
{
  size_t wanted = 2U + (connection->got < 2 ? 0 : get16 (connection->asked));
  ssize_t got = recv (connection->source.fd, connection->asked + connection->got, wanted - connection->got, MSG_DONTWAIT);
  if (got < 0 && errno == EAGAIN)
    return;
  if (got <= 0)
    return end (connection);
  connection->got += (size_t) got;
  connection->used_ms = now_ms ();
  if (connection->got < 2)
    return;
  size_t length = get16 (connection->asked);
  if (length < HEADER || length > QUERY_MOST)
    return end (connection); /* no question, or none that we take */
  if (connection->got == 2 + length)
    ask (connection);
}

static void
write_more (struct connection *connection)
{
  ssize_t put = send (connection->source.fd, connection->answer + connection->sent, connection->size - connection->sent,
                      MSG_DONTWAIT | MSG_NOSIGNAL);
  if (put < 0 && errno != EAGAIN)
    return end (connection);
  connection->sent += put < 0 ? 0 : (size_t) put;
  bool all = connection->sent == connection->size;
  if (all)
    {
      free (connection->answer);
      connection->answer = NULL;
      connection->got = 0;
      connection->waiting = false;
    }
  loop_change (&connection->source, all ? EPOLLIN : EPOLLOUT);
}

static void
ready (struct source *source, uint32_t events)
{
  struct connection *connection = (struct connection *) source;
  if (events & (EPOLLERR | EPOLLHUP))
    end (connection);
  else if (connection->answer != NULL)
    write_more (connection);
  else if (!connection->waiting)
    read_more (connection);
}

void
stream_send (struct connection *connection, const uint8_t *message, size_t size)
{
  connection->answer = malloc (2 + size);
  if (connection->answer == NULL)
    return end (connection);
  put16 (connection->answer, (unsigned) size);
  memcpy (connection->answer + 2, message, size);
  connection->size = 2 + size;
  connection->sent = 0;
  write_more (connection);
}

static void
incoming (struct source *source, uint32_t events)
{
  (void) events;
  int fd = accept4 (source->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
  struct connection *connection = fd < 0 || connection_count == MOST_CONNECTIONS ? NULL : calloc (1, sizeof *connection);
  if (connection == NULL)
    {
      if (fd >= 0)
        close (fd);
      return;
    }
  connection->source = (struct source){ fd, ready };
  connection->used_ms = now_ms ();
  connections[connection_count++] = connection;
  if (loop_watch (&connection->source, EPOLLIN) < 0)
    return end (connection);
  names_wake ();
}

/* Whoever says nothing for a while has gone; one that waits for us has not. */
void
stream_tick (void)
{
  int64_t oldest = now_ms () - IDLE_MS;
  for (int i = connection_count - 1; i >= 0; i--)
    if (connections[i]->used_ms < oldest && (!connections[i]->waiting || connections[i]->answer != NULL))
      end (connections[i]);
}

bool
stream_busy (void)
{
  return connection_count > 0;
}

int
stream_listen (int fd)
{
  static struct source listener;
  idle_before = loop_idle;
  loop_idle = bury;
  listener = (struct source){ fd, incoming };
  return loop_watch (&listener, EPOLLIN);
}
