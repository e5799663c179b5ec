/* bosun-net ports, and hold, which does not relay: holds published ports on the host, so that nobody else gets them, and relays what the kernel's rules do not forward: IPv6
 * to a container that has none, the host's own ::1, and everything on a host where no rules may be set.
 * Words: `early`, if addresses are taken that the host does not have yet, and groups of five, `tcp|udp ADDRESS[,ADDRESS] LOW-HIGH TARGET PORT`.
 * The first port that is free on all of the addresses is taken; 0-0 leaves the choice to the kernel. Out: `port N` for each group, then `ready`; or `fail GROUP ERRNO ADDRESS PORT`, and nothing is held.
 * At SIGTERM it lets the ports go and ends; connections that it relays go on in a child, as long as the container and they last. */
#include "net.h"
#include <sys/signalfd.h>

enum { WORDS = 5, MOST_ADDRESSES = 4, TRIES = 32, BACKLOG = 4096 };

static bool relays; /* a port that nobody listens at refuses connections */
static bool early;

struct group
{
  bool stream;
  int count;
  char *addresses[MOST_ADDRESSES];
  uint16_t low, high;
  union address target;
  int held[MOST_ADDRESSES];
};

static int
parse_port (const char *text, uint16_t *out)
{
  uint64_t value = 0;
  int error = parse_number (text, UINT16_MAX, &value);
  *out = (uint16_t) value;
  return error;
}

static int
parse_group (char **words, struct group *group)
{
  uint16_t port;
  char *dash = strchr (words[2], '-');
  *group = (struct group){ .stream = strcmp (words[0], "tcp") == 0 };
  if ((!group->stream && strcmp (words[0], "udp") != 0) || dash == NULL)
    return -EINVAL;
  *dash = '\0';
  if (parse_port (words[2], &group->low) < 0 || parse_port (dash + 1, &group->high) < 0 || parse_port (words[4], &port) < 0)
    return -EINVAL;
  for (char *rest = words[1], *one; (one = strsep (&rest, ",")) != NULL; group->count++)
    if (group->count == MOST_ADDRESSES)
      return -E2BIG;
    else
      group->addresses[group->count] = one;
  return address_parse (words[3], port, &group->target);
}

static int
hold (const struct group *group, const char *text, uint16_t port)
{
  union address address;
  int on = 1;
  int error = address_parse (text, port, &address);
  if (error < 0)
    return error;
  int fd = socket (address.any.sa_family, (group->stream ? SOCK_STREAM : SOCK_DGRAM) | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0)
    return -errno;
  if (address.any.sa_family == AF_INET6)
    setsockopt (fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
  if (group->stream && relays) /* connections of the one before may linger; without a listener it would let others in */
    setsockopt (fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (early)
    setsockopt (fd, IPPROTO_IP, IP_FREEBIND, &on, sizeof on);
  if (bind (fd, &address.any, address_size (&address)) == 0 && (!group->stream || !relays || listen (fd, BACKLOG) == 0))
    return fd;
  error = -errno;
  close (fd);
  return error;
}

static uint16_t
port_of (int fd)
{
  union address address;
  socklen_t size = sizeof address;
  getsockname (fd, &address.any, &size);
  return ntohs (address.any.sa_family == AF_INET ? address.v4.sin_port : address.v6.sin6_port);
}

/* PORT on every address, or on none. @return the port; *FAILED is the address that has it not */
static int
hold_all (struct group *group, uint16_t port, int *failed)
{
  for (int i = 0; i < group->count; i++)
    {
      int fd = hold (group, group->addresses[i], port);
      if (fd < 0)
        {
          *failed = i;
          while (i-- > 0)
            close (group->held[i]);
          return fd;
        }
      group->held[i] = fd;
      port = port_of (fd);
    }
  return port;
}

static int
hold_any (struct group *group, int *failed)
{
  int port = -EADDRINUSE;
  if (group->low == 0)
    for (int i = 0; i < TRIES && port == -EADDRINUSE; i++)
      port = hold_all (group, 0, failed);
  else
    for (int at = group->low; at <= group->high && port == -EADDRINUSE; at++)
      port = hold_all (group, (uint16_t) at, failed);
  return port;
}

static int
serve (const struct group *group)
{
  for (int i = 0; i < group->count; i++)
    {
      int error = (group->stream ? relay_listen : datagrams_listen) (group->held[i], &group->target);
      if (error < 0)
        return error;
    }
  return 0;
}

static bool leaving = false, left = false;

static void
told_to_leave (struct source *source, uint32_t events)
{
  struct signalfd_siginfo info;
  (void) events;
  leaving = read (source->fd, &info, sizeof info) == sizeof info;
}

/* Whoever waits for the end of this process finds its ports free. */
static void
leave (void)
{
  leaving = false;
  left = true;
  relays_close ();
  datagrams_close ();
  if (relays_left () == 0 || fork () != 0)
    _exit (0);
}

static void
idle (void)
{
  relays_bury ();
  if (leaving)
    leave ();
  if (left && relays_left () == 0)
    _exit (0);
}

static int
watch_signal (void)
{
  static struct source source;
  sigset_t signals;
  sigemptyset (&signals);
  sigaddset (&signals, SIGTERM);
  sigprocmask (SIG_BLOCK, &signals, NULL);
  source = (struct source){ signalfd (-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK), told_to_leave };
  return source.fd < 0 ? -errno : loop_watch (&source, EPOLLIN);
}

static int
run (char **words)
{
  bool datagrams = false;
  early = words[0] != NULL && strcmp (words[0], "early") == 0;
  words += early;
  for (int at = 0; words[at] != NULL; at += WORDS)
    {
      struct group group;
      int failed = 0;
      for (int i = 1; i < WORDS; i++)
        if (words[at + i] == NULL)
          return 2;
      int port = parse_group (words + at, &group);
      if (port >= 0)
        port = hold_any (&group, &failed);
      if (port < 0)
        {
          dprintf (1, "fail %d %d %s %d\n", at / WORDS, -port, group.count > failed ? group.addresses[failed] : "", group.low);
          return 1;
        }
      if (relays && serve (&group) < 0)
        return 1;
      datagrams |= relays && !group.stream;
      dprintf (1, "port %d\n", port);
    }
  loop_idle = idle;
  if (watch_signal () < 0)
    return 1;
  (void) !write (1, "ready\n", 6);
  follow_caller ();
  loop_run (datagrams ? datagrams_expire : NULL, FLOW_LIFE_MS / 3);
  return 0;
}

int
ports_main (char **words)
{
  relays = true;
  return run (words);
}

int
hold_main (char **words)
{
  return run (words);
}
