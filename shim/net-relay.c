/* TCP connections from the host to a container, without a copy through this process: splice(2) moves pages from socket to socket. */
#include "net.h"
#include <netinet/tcp.h>
#include <stddef.h>

enum { PIECE = 64 << 10 };

struct listener
{
  struct source source;
  union address target;
  struct listener *next;
};

/* One direction of a relay. */
struct half
{
  int pipe[2];
  size_t filled;
  bool ended; /* nothing more will come … */
  bool told;  /* … and the other side knows */
};

struct relay
{
  struct source client, server; /* both lead back here */
  struct half up, down;
  bool connecting;
  struct relay *next; /* of those that are to be freed */
};

static struct relay *dead;
static struct listener *listeners;
static int relay_count;

static struct relay *
of_client (struct source *source)
{
  return (struct relay *) ((char *) source - offsetof (struct relay, client));
}

static struct relay *
of_server (struct source *source)
{
  return (struct relay *) ((char *) source - offsetof (struct relay, server));
}

static void
close_half (struct half *half)
{
  close (half->pipe[0]);
  close (half->pipe[1]);
}

static void
end (struct relay *relay)
{
  loop_forget (&relay->client);
  loop_forget (&relay->server);
  close (relay->client.fd);
  close (relay->server.fd);
  close_half (&relay->up);
  close_half (&relay->down);
  relay->next = dead;
  dead = relay;
  relay_count--;
}

void
relays_bury (void)
{
  while (dead != NULL)
    {
      struct relay *relay = dead;
      dead = relay->next;
      free (relay);
    }
}

/* Moves what there is. @return false when the connection is broken */
static bool
move (struct half *half, int from, int to)
{
  for (;;)
    {
      if (half->filled == 0 && !half->ended)
        {
          ssize_t got = splice (from, NULL, half->pipe[1], NULL, PIECE, SPLICE_F_NONBLOCK | SPLICE_F_MOVE);
          if (got < 0)
            return errno == EAGAIN || errno == EINTR;
          half->filled = (size_t) got;
          half->ended = got == 0;
        }
      if (half->filled == 0)
        break;
      ssize_t put = splice (half->pipe[0], NULL, to, NULL, half->filled, SPLICE_F_NONBLOCK | SPLICE_F_MOVE);
      if (put < 0)
        return errno == EAGAIN || errno == EINTR;
      half->filled -= (size_t) put;
    }
  if (!half->told)
    shutdown (to, SHUT_WR);
  half->told = true;
  return true;
}

static uint32_t
wanted (const struct half *in, const struct half *out)
{
  return (in->filled == 0 && !in->ended ? (uint32_t) EPOLLIN : 0) | (out->filled > 0 ? (uint32_t) EPOLLOUT : 0);
}

static void
step (struct relay *relay)
{
  if (!move (&relay->up, relay->client.fd, relay->server.fd) || !move (&relay->down, relay->server.fd, relay->client.fd)
      || (relay->up.told && relay->down.told))
    return end (relay);
  loop_change (&relay->client, wanted (&relay->up, &relay->down));
  loop_change (&relay->server, wanted (&relay->down, &relay->up));
}

static void
client_ready (struct source *source, uint32_t events)
{
  struct relay *relay = of_client (source);
  if (events & EPOLLERR || (relay->connecting && events & EPOLLHUP))
    return end (relay);
  if (!relay->connecting)
    step (relay);
}

static void
server_ready (struct source *source, uint32_t events)
{
  struct relay *relay = of_server (source);
  if (events & EPOLLERR)
    return end (relay);
  relay->connecting = false;
  step (relay);
}

static int
connect_to (const union address *target)
{
  int on = 1;
  int fd = socket (target->any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0)
    return -errno;
  setsockopt (fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  if (connect (fd, &target->any, address_size (target)) == 0 || errno == EINPROGRESS)
    return fd;
  int error = -errno;
  close (fd);
  return error;
}

static int
begin (int client, const union address *target)
{
  int on = 1;
  struct relay *relay = calloc (1, sizeof *relay);
  if (relay == NULL)
    return -ENOMEM;
  relay_count++;
  *relay = (struct relay){ .client = { client, client_ready }, .server = { -1, server_ready }, .connecting = true };
  relay->up.pipe[0] = relay->up.pipe[1] = relay->down.pipe[0] = relay->down.pipe[1] = -1;
  setsockopt (client, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  int error = pipe2 (relay->up.pipe, O_CLOEXEC | O_NONBLOCK) < 0 || pipe2 (relay->down.pipe, O_CLOEXEC | O_NONBLOCK) < 0
                  ? -errno
                  : (relay->server.fd = connect_to (target));
  if (error >= 0)
    error = loop_watch (&relay->client, 0);
  if (error >= 0)
    error = loop_watch (&relay->server, EPOLLOUT);
  if (error < 0)
    end (relay); /* closes the client's, too */
  return error;
}

/* A descriptor that is kept back: without one, a connection could not even be turned away, and would be told of for ever. */
static int spare = -1;

static void
refuse (int listener)
{
  close (spare);
  close (accept4 (listener, NULL, NULL, SOCK_CLOEXEC));
  spare = open ("/dev/null", O_RDONLY | O_CLOEXEC);
}

static void
incoming (struct source *source, uint32_t events)
{
  (void) events;
  struct listener *listener = (struct listener *) source;
  int client = accept4 (source->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
  if (client >= 0)
    begin (client, &listener->target);
  else if (errno == EMFILE || errno == ENFILE)
    refuse (source->fd);
}

int
relay_listen (int fd, const union address *target)
{
  struct listener *listener = calloc (1, sizeof *listener);
  if (listener == NULL)
    return -ENOMEM;
  if (spare < 0)
    spare = open ("/dev/null", O_RDONLY | O_CLOEXEC);
  *listener = (struct listener){ .source = { fd, incoming }, .target = *target, .next = listeners };
  listeners = listener;
  return loop_watch (&listener->source, EPOLLIN);
}

int
relays_left (void)
{
  return relay_count;
}

void
relays_close (void)
{
  for (struct listener *one = listeners; one != NULL; one = listeners)
    {
      listeners = one->next;
      loop_forget (&one->source);
      close (one->source.fd);
      free (one);
    }
}
