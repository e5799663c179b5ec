/* Netlink: messages in, answers out, what they say is the caller's affair; and what else is done in another network namespace. */
#include "lib.h"
#include <linux/netlink.h>
#include <pthread.h>
#include <sys/socket.h>

struct socket_request { int protocol, netns_pid, result; };

static int
open_netlink (int protocol)
{
  int size = 1 << 20;
  int fd = checked (socket (AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol));
  if (fd < 0)
    return fd;
  setsockopt (fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size);
  setsockopt (fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size);
  return fd;
}

/* A socket stays in the namespace that its thread was in: this one enters, opens and ends. */
static void *
open_elsewhere (void *argument)
{
  struct socket_request *request = argument;
  char path[64];
  snprintf (path, sizeof path, "/proc/%d/ns/net", request->netns_pid);
  cleanup_close int ns = open (path, O_RDONLY | O_CLOEXEC);
  request->result = ns < 0 || setns (ns, CLONE_NEWNET) < 0 ? -errno : open_netlink (request->protocol);
  return NULL;
}

static int
open_netlink_in (int protocol, int netns_pid)
{
  struct socket_request request = { protocol, netns_pid, 0 };
  pthread_t thread;
  int error = pthread_create (&thread, NULL, open_elsewhere, &request);
  if (error != 0)
    return -error;
  pthread_join (thread, NULL);
  return request.result;
}

/* Of our own namespace, by protocol: 1 more than the descriptor. They stay open, since closing one through which nftables was told to remove
 * something waits until all processors have let go of it, 12 ms. */
static _Thread_local int kept[MAX_LINKS];

static int
keep_netlink (int protocol)
{
  if (protocol < 0 || protocol >= MAX_LINKS)
    return -EPROTONOSUPPORT;
  if (kept[protocol] > 0)
    return kept[protocol] - 1;
  int fd = open_netlink (protocol);
  kept[protocol] = fd + 1;
  return fd;
}

/* A socket that tells what happens in GROUPS of PROTOCOL (a mask: bit N-1 is group N), for somebody who waits for it; the caller closes it. */
int
bosun_netlink_watch (int protocol, uint32_t groups)
{
  struct sockaddr_nl address = { .nl_family = AF_NETLINK, .nl_groups = groups };
  int fd = open_netlink (protocol);
  if (fd < 0)
    return fd;
  if (fcntl (fd, F_SETFL, O_NONBLOCK) >= 0 && bind (fd, (struct sockaddr *) &address, sizeof address) >= 0)
    return fd;
  int error = -errno;
  close (fd);
  return error;
}

static int64_t
exchange (int fd, const void *request, uint64_t size, void *out, uint64_t room)
{
  struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
  if (sendto (fd, request, size, 0, (struct sockaddr *) &kernel, sizeof kernel) < 0)
    return -errno;
  size_t used = 0;
  for (;;)
    {
      ssize_t got = recv (fd, (char *) out + used, room - used, MSG_TRUNC | MSG_DONTWAIT);
      if (got < 0 && errno == EINTR)
        continue;
      if (got < 0)
        return errno == EAGAIN ? (int64_t) used : -errno;
      if ((size_t) got > room - used)
        return -ENOSPC;
      used += (size_t) got;
    }
}

/* Sends the messages of REQUEST (SIZE bytes, one or a batch) over PROTOCOL, in the network namespace of process NETNS_PID (0: ours),
 * and gathers every answer into OUT. The kernel works on netlink messages while they are sent, and on a dump while the
 * part before is read: when nothing is left to read, nothing will come. @return bytes in OUT; -ENOSPC when ROOM is too small for them */
int64_t
bosun_netlink (int protocol, int netns_pid, const void *request, uint64_t size, void *out, uint64_t room)
{
  int fd = netns_pid == 0 ? keep_netlink (protocol) : open_netlink_in (protocol, netns_pid);
  if (fd < 0)
    return fd;
  int64_t result = exchange (fd, request, size, out, room);
  if (netns_pid != 0 || result < 0) /* answers that nobody has read would be taken for the next one's */
    close (fd);
  if (netns_pid == 0 && result < 0)
    kept[protocol] = 0;
  return result;
}

struct sysctl_request { int netns_pid; const char *path, *value; int result; };

/* Below /proc/sys/net, a thread sees the namespace that it is in. */
static void *
set_elsewhere (void *argument)
{
  struct sysctl_request *request = argument;
  char path[64];
  snprintf (path, sizeof path, "/proc/%d/ns/net", request->netns_pid);
  cleanup_close int ns = open (path, O_RDONLY | O_CLOEXEC);
  cleanup_close int file = ns < 0 || setns (ns, CLONE_NEWNET) < 0 ? -1 : open (request->path, O_WRONLY | O_CLOEXEC);
  if (file < 0 || write (file, request->value, strlen (request->value)) < 0)
    request->result = -errno;
  return NULL;
}

/* Writes VALUE to PATH, a file below /proc/sys/net, in the network namespace of process NETNS_PID. */
int
bosun_set_sysctl (int netns_pid, const char *path, const char *value)
{
  struct sysctl_request request = { netns_pid, path, value, 0 };
  pthread_t thread;
  int error = pthread_create (&thread, NULL, set_elsewhere, &request);
  if (error != 0)
    return -error;
  pthread_join (thread, NULL);
  return request.result;
}
