/* One server that is asked one question: over UDP, and again over TCP when the answer did not fit. Ids are random, and so is the port of each
 * question: a socket of its own. Servers on the host's loopback are asked from the host's network namespace, with sockets that were made while this
 * thread was in it. */
#include "net-upstream.h"
#include <sys/random.h>

enum { HOST_STREAMS = 4 };

/* Sockets of the host's network namespace: two for datagrams, and some for connections, each of which can be made again and again. */
static struct source host_datagrams[2];
static struct stream_socket
{
  int fd;
  int family;
  bool busy;
} host_streams[HOST_STREAMS];

void
attempt_end (struct attempt *attempt)
{
  if (!attempt->live)
    return;
  attempt->live = false;
  free (attempt->buffer);
  attempt->buffer = NULL;
  if (attempt->source.fd < 0)
    return;
  loop_forget (&attempt->source);
  if (attempt->stream == NULL)
    close (attempt->source.fd);
  else
    {
      struct sockaddr nowhere = { .sa_family = AF_UNSPEC };
      connect (attempt->source.fd, &nowhere, sizeof nowhere); /* for the next one */
      ((struct stream_socket *) attempt->stream)->busy = false;
    }
  attempt->source.fd = -1;
}

static void attempt_over_stream (struct attempt *attempt);

bool
attempt_answered (struct attempt *attempt, uint8_t *message, size_t size)
{
  struct pending *one = attempt->pending;
  if (size < HEADER || get16 (message) != attempt->id || !(message[2] & 0x80))
    return false;
  uint8_t rcode = message[3] & 15;
  bool bare = size == HEADER && rcode != NOERROR && get16 (message + 4) == 0; /* refused without a look at it */
  if (!bare && !answer_check (message, size, &one->query.question))
    return false;
  bool good = rcode == NOERROR || rcode == NXDOMAIN;
  if (good && message[2] & 0x02 && !attempt->over_stream)
    attempt_over_stream (attempt);
  else if (good)
    {
      if (!(message[2] & 0x02))
        cache_put (&one->query, message, size);
      pending_finish (one, message, size);
    }
  else
    {
      one->refusal = rcode;
      pending_failed (attempt);
    }
  return true;
}

static void
datagram_ready (struct source *source, uint32_t events)
{
  static uint8_t message[DATAGRAM_MOST + 1];
  struct attempt *attempt = (struct attempt *) source;
  (void) events;
  while (attempt->live && !attempt->over_stream)
    {
      ssize_t got = recv (source->fd, message, sizeof message, MSG_DONTWAIT);
      if (got < 0 && errno == EAGAIN)
        return;
      if (got < 0)
        return pending_failed (attempt); /* nobody listens there */
      if (got <= DATAGRAM_MOST)
        attempt_answered (attempt, message, (size_t) got);
    }
}

bool
server_same (const union address *one, const union address *other)
{
  if (one->any.sa_family != other->any.sa_family)
    return false;
  if (one->any.sa_family == AF_INET)
    return one->v4.sin_port == other->v4.sin_port && one->v4.sin_addr.s_addr == other->v4.sin_addr.s_addr;
  return one->v6.sin6_port == other->v6.sin6_port && memcmp (&one->v6.sin6_addr, &other->v6.sin6_addr, sizeof one->v6.sin6_addr) == 0;
}

static void
host_ready (struct source *source, uint32_t events)
{
  static uint8_t message[DATAGRAM_MOST + 1];
  (void) events;
  for (;;)
    {
      union address from = { 0 };
      socklen_t length = sizeof from;
      ssize_t got = recvfrom (source->fd, message, sizeof message, MSG_DONTWAIT, &from.any, &length);
      if (got < 0)
        return;
      if (got <= DATAGRAM_MOST)
        pending_answered (&from, message, (size_t) got);
    }
}

static ssize_t
send_datagram (struct attempt *attempt)
{
  struct pending *one = attempt->pending;
  const union address *to = &attempt->server.address;
  put16 (one->message, attempt->id);
  if (!attempt->server.of_host)
    return send (attempt->source.fd, one->message, one->size, MSG_DONTWAIT);
  int fd = host_datagrams[to->any.sa_family == AF_INET6].fd;
  return sendto (fd, one->message, one->size, MSG_DONTWAIT, &to->any, address_size (to));
}

void
attempt_again (struct attempt *attempt)
{
  if (attempt->live && !attempt->over_stream)
    send_datagram (attempt);
}

int
attempt_begin (struct attempt *attempt, struct pending *one, const struct server *server)
{
  *attempt = (struct attempt){ .source = { -1, datagram_ready }, .pending = one, .server = *server, .live = true };
  (void) !getrandom (&attempt->id, sizeof attempt->id, 0);
  if (!server->of_host)
    {
      attempt->source.fd = socket (server->address.any.sa_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
      if (attempt->source.fd < 0 || connect (attempt->source.fd, &server->address.any, address_size (&server->address)) < 0)
        return -errno;
      int error = loop_watch (&attempt->source, EPOLLIN);
      if (error < 0)
        return error;
    }
  return send_datagram (attempt) < 0 ? -errno : 0;
}

/* @return false when there is nothing more to do now */
static bool
stream_write (struct attempt *attempt)
{
  ssize_t put = send (attempt->source.fd, attempt->buffer + attempt->done, attempt->size - attempt->done, MSG_DONTWAIT | MSG_NOSIGNAL);
  if (put < 0 && (errno == EAGAIN || errno == ENOTCONN || errno == EINPROGRESS))
    return false;
  if (put < 0)
    return pending_failed (attempt), false;
  attempt->done += (size_t) put;
  if (attempt->done < attempt->size)
    return true;
  attempt->done = 0;
  attempt->size = 0; /* from now on it is read */
  loop_change (&attempt->source, EPOLLIN);
  return false;
}

static void
stream_read (struct attempt *attempt)
{
  size_t wanted = attempt->done < 2 ? 2 : 2U + get16 (attempt->buffer);
  ssize_t got = recv (attempt->source.fd, attempt->buffer + attempt->done, wanted - attempt->done, MSG_DONTWAIT);
  if (got < 0 && errno == EAGAIN)
    return;
  if (got <= 0)
    return pending_failed (attempt);
  attempt->done += (size_t) got;
  if (attempt->done < 2 || attempt->done < 2U + get16 (attempt->buffer))
    return; /* the loop tells again */
  uint8_t *message = attempt->buffer;
  attempt->buffer = NULL;
  if (!attempt_answered (attempt, message + 2, attempt->done - 2))
    pending_failed (attempt);
  free (message);
}

static void
stream_ready (struct source *source, uint32_t events)
{
  struct attempt *attempt = (struct attempt *) source;
  int error = 0;
  socklen_t size = sizeof error;
  if (events & EPOLLERR && getsockopt (source->fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0 && error != 0)
    return pending_failed (attempt);
  if (attempt->size > 0)
    while (stream_write (attempt))
      ;
  else if (events & (EPOLLIN | EPOLLHUP))
    stream_read (attempt);
}

static int
stream_socket_for (struct attempt *attempt)
{
  int family = attempt->server.address.any.sa_family;
  if (!attempt->server.of_host)
    return checked (socket (family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  for (int i = 0; i < HOST_STREAMS; i++)
    if (!host_streams[i].busy && host_streams[i].family == family && host_streams[i].fd >= 0)
      {
        host_streams[i].busy = true;
        attempt->stream = host_streams + i;
        return host_streams[i].fd;
      }
  return -EBUSY;
}

/* The answer did not fit into a datagram: the same question again over a connection. */
static void
attempt_over_stream (struct attempt *attempt)
{
  struct pending *one = attempt->pending;
  struct server server = attempt->server;
  attempt_end (attempt);
  *attempt = (struct attempt){ .source = { -1, stream_ready }, .pending = one, .server = server, .live = true, .over_stream = true };
  (void) !getrandom (&attempt->id, sizeof attempt->id, 0);
  attempt->buffer = malloc (2 + MESSAGE_MOST);
  attempt->source.fd = attempt->buffer == NULL ? -1 : stream_socket_for (attempt);
  if (attempt->source.fd < 0)
    return pending_failed (attempt);
  put16 (attempt->buffer, (unsigned) one->size);
  memcpy (attempt->buffer + 2, one->message, one->size);
  put16 (attempt->buffer + 2, attempt->id);
  attempt->size = 2 + one->size;
  if ((connect (attempt->source.fd, &server.address.any, address_size (&server.address)) < 0 && errno != EINPROGRESS)
      || loop_watch (&attempt->source, EPOLLOUT) < 0)
    return pending_failed (attempt);
  names_wake ();
}

int
attempts_open (void)
{
  for (int i = 0; i < 2; i++)
    {
      int fd = socket (i == 0 ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
      host_datagrams[i] = (struct source){ fd, host_ready };
      if (fd >= 0 && loop_watch (host_datagrams + i, EPOLLIN) < 0)
        return -errno;
    }
  for (int i = 0; i < HOST_STREAMS; i++)
    {
      int family = i < HOST_STREAMS / 2 ? AF_INET : AF_INET6;
      host_streams[i].family = family;
      host_streams[i].fd = socket (family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    }
  return 0;
}
