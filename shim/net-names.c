/* bosun-net names PID FOLDER ID: the name service of container ID, whose first process is PID; see net-names.h. It is made in the host's network
 * namespace, serves in the container's, and ends with the process. Out: `ready`, or `fail WHAT ERRNO`. In: a line, whatever it says; without one
 * it ends. */
#include "net-names.h"
#include <sys/timerfd.h>
#include <time.h>

enum { BURST = 64, TICK_MS = 100, ADDRESS = INADDR_LOOPBACK + 10, BACKLOG = 128, PORT = 53, TRIES = 16 };

static struct source datagrams, timer;
static bool is_awake;

static int
fail (const char *what, int error)
{
  dprintf (1, "fail %s %d\n", what, -error);
  return 1;
}

void
names_wake (void)
{
  if (is_awake)
    return;
  is_awake = true;
  struct itimerspec when = { .it_value.tv_nsec = TICK_MS * 1000000 };
  timerfd_settime (timer.fd, 0, &when, NULL);
}

static void
tick (struct source *source, uint32_t events)
{
  uint64_t times;
  (void) events;
  (void) !read (source->fd, &times, sizeof times);
  is_awake = false;
  upstream_tick ();
  stream_tick ();
  if (upstream_busy () || stream_busy ())
    names_wake ();
}

void
names_reply (const struct client *client, const struct query *query, uint8_t *message, size_t size)
{
  put16 (message, client->id);
  if (client->connection != NULL)
    return stream_send (client->connection, message, size);
  if (size > query->room)
    size = reply_cut (message, query);
  (void) !sendto (datagrams.fd, message, size, MSG_DONTWAIT, &client->address.any, sizeof client->address.v4);
}

/* Containers of one name take turns in being the first. */
static void
put_hosts (struct reply *reply, uint16_t type, const struct host **hosts, int count)
{
  static unsigned turn;
  unsigned first = turn++;
  for (int i = 0; i < count; i++)
    {
      const struct host *host = hosts[(first + (unsigned) i) % (unsigned) count];
      if (host->has4 && (type == TYPE_A || type == TYPE_ANY))
        reply_address (reply, TYPE_A, &host->v4);
      if (host->has6 && (type == TYPE_AAAA || type == TYPE_ANY))
        reply_address (reply, TYPE_AAAA, &host->v6);
    }
}

/* @return whether it is known here; a name that is has nothing but addresses */
static bool
put_known (struct reply *reply, const struct question *question)
{
  const struct host *hosts[MOST_ANSWERS];
  char text[NAME_ROOM], name[NAME_ROOM];
  union address address;
  if (question->class != CLASS_IN || !question_text (question, text))
    return false;
  int count = zone_find (text, hosts, MOST_ANSWERS);
  if (count > 0)
    return put_hosts (reply, question->type, hosts, count), true;
  return question->type == TYPE_PTR && question_address (text, &address) && zone_name_of (&address, name, sizeof name)
         && reply_name (reply, name);
}

/* After the question has come, so that whoever has heard of a change before asks for what it has brought. */
static void
refresh (void)
{
  if (zone_refresh ())
    cache_clear ();
}

void
names_asked (const struct client *client, const uint8_t *message, size_t size)
{
  static uint8_t bytes[MESSAGE_MOST];
  struct query query;
  int rcode = query_parse (message, size, &query);
  bool over_stream = client->connection != NULL;
  if (rcode < 0 && over_stream)
    rcode = FORMERR; /* a connection waits for something */
  if (rcode < 0 || size < HEADER)
    return;
  refresh ();
  struct reply reply = { .bytes = bytes, .room = (over_stream ? MESSAGE_MOST : query.room) - 16U };
  reply_begin (&reply, message, &query, (enum rcode) rcode);
  if (rcode == 0 && !put_known (&reply, &query.question))
    {
      size_t cached = cache_get (&query, bytes, sizeof bytes);
      if (cached == 0 && upstream_ask (client, &query, message, size))
        return;
      if (cached == 0)
        reply_begin (&reply, message, &query, SERVFAIL);
      else
        reply.size = cached;
    }
  else
    reply_end (&reply, &query);
  memcpy (bytes + HEADER, message + HEADER, query.end - (size_t) HEADER); /* in the letters of who asks */
  names_reply (client, &query, bytes, reply.size);
}

static void
asked (struct source *source, uint32_t events)
{
  static uint8_t message[DATAGRAM_MOST];
  (void) events;
  for (int i = 0; i < BURST; i++)
    {
      struct client client = { 0 };
      socklen_t length = sizeof client.address;
      ssize_t got = recvfrom (source->fd, message, sizeof message, MSG_DONTWAIT, &client.address.any, &length);
      if (got < 0)
        return;
      if (got < HEADER)
        continue;
      client.id = get16 (message);
      names_asked (&client, message, (size_t) got);
    }
}

static int
open_socket (int type, uint16_t port)
{
  int on = 1;
  struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons (port), .sin_addr.s_addr = htonl (ADDRESS) };
  int fd = socket (AF_INET, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0)
    return -errno;
  setsockopt (fd, IPPROTO_IP, IP_FREEBIND, &on, sizeof on);
  if (type == SOCK_STREAM)
    setsockopt (fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (bind (fd, (struct sockaddr *) &address, sizeof address) == 0 && (type == SOCK_DGRAM || listen (fd, BACKLOG) == 0))
    return fd;
  int error = -errno;
  close (fd);
  return error;
}

/* The same port for both protocols. @param port  0 for any. @return it */
static int
open_both (uint16_t port, int *stream)
{
  for (int i = 0; i < TRIES; i++)
    {
      struct sockaddr_in address;
      socklen_t size = sizeof address;
      datagrams = (struct source){ open_socket (SOCK_DGRAM, port), asked };
      if (datagrams.fd < 0 || getsockname (datagrams.fd, (struct sockaddr *) &address, &size) < 0)
        return datagrams.fd < 0 ? datagrams.fd : -errno;
      *stream = open_socket (SOCK_STREAM, ntohs (address.sin_port));
      if (*stream >= 0)
        return ntohs (address.sin_port);
      close (datagrams.fd);
    }
  return *stream;
}

/* Where no rules can be set, port 53 itself is taken. */
static int
open_led (int *stream)
{
  int port = open_both (0, stream);
  if (port < 0 || lead_to ((uint16_t) port) == 0)
    return port;
  close (datagrams.fd);
  close (*stream);
  return open_both (PORT, stream);
}

static int
enter_network (const char *pid)
{
  char path[64];
  snprintf (path, sizeof path, "/proc/%s/ns/net", pid);
  cleanup_close int ns = open (path, O_RDONLY | O_CLOEXEC);
  return ns < 0 ? -errno : checked (setns (ns, CLONE_NEWNET));
}

static int
open_timer (void)
{
  timer = (struct source){ timerfd_create (CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK), tick };
  return timer.fd < 0 ? -errno : loop_watch (&timer, EPOLLIN);
}

int
names_main (char **words)
{
  uint64_t pid;
  int error, stream;
  for (int i = 0; i < 3; i++)
    if (words[i] == NULL)
      return 2;
  if (parse_number (words[0], INT_MAX, &pid) < 0)
    return 2;
  int folder = open (words[1], O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (folder < 0)
    return fail ("folder", -errno);
  if ((error = follow ((pid_t) pid)) < 0)
    return fail ("process", error);
  if ((error = zone_open (folder, words[2])) < 0)
    return fail ("files", error);
  if ((error = upstream_open ()) < 0 || (error = open_timer ()) < 0)
    return fail ("sockets", error);
  if ((error = enter_network (words[0])) < 0)
    return fail ("namespace", error);
  if ((error = open_led (&stream)) < 0)
    return fail ("port", error);
  if ((error = loop_watch (&datagrams, EPOLLIN)) < 0 || (error = stream_listen (stream)) < 0)
    return fail ("loop", error);
  (void) !write (1, "ready\n", 6);
  await_caller ();
  loop_run (NULL, 0);
  return 0;
}
