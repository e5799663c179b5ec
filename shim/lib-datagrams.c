/* Unix datagram sockets: Node and Bun have streams alone. See unix(7). */
#include "lib.h"
#include <sys/socket.h>
#include <sys/un.h>

enum { SEND_BUFFER = 8 << 20 }; /* the longest message; the kernel may grant less */

/* Connected to the socket at PATH. @return its descriptor, which never blocks */
int
bosun_datagrams_open (const char *path)
{
  struct sockaddr_un address = { .sun_family = AF_UNIX };
  size_t length = strlen (path);
  if (length >= sizeof address.sun_path)
    return -ENAMETOOLONG;
  memcpy (address.sun_path, path, length);
  int fd = socket (AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0)
    return -errno;
  int size = SEND_BUFFER;
  if (setsockopt (fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size) < 0)
    setsockopt (fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
  if (connect (fd, (const struct sockaddr *) &address, sizeof address) == 0)
    return fd;
  int error = -errno;
  close (fd);
  return error;
}

/* -EAGAIN: the reader's queue is full. */
int
bosun_datagrams_send (int fd, const void *data, size_t size)
{
  return send (fd, data, size, MSG_NOSIGNAL) < 0 ? -errno : 0;
}
