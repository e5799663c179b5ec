/* Connections on shim.sock: what each wants, and what it has not read yet. Nothing here ever waits for a client. */
#include "shim.h"
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <linux/sockios.h>

void
queue_take (struct queue *queue, size_t size)
{
  queue->start += size;
  if (queue->start == queue->end)
    queue->start = queue->end = 0;
}

void
queue_trim (struct queue *queue)
{
  if (queue_size (queue) > 0)
    return;
  free (queue->data);
  *queue = (struct queue){ 0 };
}

int
queue_reserve (struct queue *queue, size_t size)
{
  if (queue->end + size <= queue->room)
    return 0;
  if (queue->start > 0)
    {
      memmove (queue->data, queue->data + queue->start, queue_size (queue));
      queue->end -= queue->start;
      queue->start = 0;
    }
  size_t room = queue->room == 0 ? 512 : queue->room;
  while (room < queue->end + size)
    room *= 2;
  char *grown = room == queue->room ? queue->data : realloc (queue->data, room);
  if (grown == NULL)
    return -ENOMEM;
  queue->data = grown;
  queue->room = room;
  return 0;
}

int
queue_add (struct queue *queue, const void *data, size_t size)
{
  if (size == 0)
    return 0;
  if (queue_reserve (queue, size) < 0)
    return -ENOMEM;
  memcpy (queue->data + queue->end, data, size);
  queue->end += size;
  return 0;
}

/* @return the connection at the head of REST, or REST when there is none. */
struct client *
client_accept (int listener, struct client *rest)
{
  int fd = accept4 (listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
  struct client *client = fd < 0 ? NULL : calloc (1, sizeof *client);
  if (client == NULL)
    {
      if (fd >= 0)
        close (fd);
      return rest;
    }
  client->fd = fd;
  client->next = rest;
  return client;
}

/* Sends at once what the socket takes, keeps the rest. */
static void
send_parts (struct client *client, struct iovec *parts, int count)
{
  ssize_t sent = 0;
  if (queue_size (&client->out) == 0)
    sent = sendmsg (client->fd, &(struct msghdr){ .msg_iov = parts, .msg_iovlen = (size_t) count },
                    MSG_DONTWAIT | MSG_NOSIGNAL);
  size_t skip = sent < 0 ? 0 : (size_t) sent;
  for (int i = 0; i < count; i++)
    {
      size_t gone = skip < parts[i].iov_len ? skip : parts[i].iov_len;
      skip -= gone;
      if (queue_add (&client->out, (char *) parts[i].iov_base + gone, parts[i].iov_len - gone) < 0)
        client->role = ROLE_DONE; /* a stream with a hole is worse than one that ends */
    }
}

void
client_say (struct client *client, const char *text)
{
  struct iovec part = { (void *) (uintptr_t) text, strlen (text) };
  send_parts (client, &part, 1);
}

/* Docker's frame: stream, 0, 0, 0, length in 4 bytes, the highest first. */
void
client_output (struct client *client, int stream, bool framed, const char *data, size_t size)
{
  unsigned char frame[8] = { (unsigned char) stream, 0, 0, 0, (unsigned char) (size >> 24), (unsigned char) (size >> 16),
                             (unsigned char) (size >> 8), (unsigned char) size };
  struct iovec parts[2] = { { frame, sizeof frame }, { (void *) (uintptr_t) data, size } };
  if (client->streams[stream])
    send_parts (client, framed ? parts : parts + 1, framed ? 2 : 1);
}

/* One byte says that the log has changed; it says so for every change until it is read. */
void
client_notify (struct client *client)
{
  int waiting = 0;
  if (ioctl (client->fd, SIOCOUTQ, &waiting) == 0 && waiting == 0)
    (void) !send (client->fd, ".", 1, MSG_DONTWAIT | MSG_NOSIGNAL);
}

bool
client_flush (struct client *client)
{
  while (queue_size (&client->out) > 0)
    {
      ssize_t sent = send (client->fd, client->out.data + client->out.start, queue_size (&client->out),
                           MSG_DONTWAIT | MSG_NOSIGNAL);
      if (sent < 0)
        return errno == EAGAIN || errno == EINTR;
      queue_take (&client->out, (size_t) sent);
    }
  return true;
}

void
client_free (struct client *client)
{
  close (client->fd);
  free (client->out.data);
  free (client);
}
