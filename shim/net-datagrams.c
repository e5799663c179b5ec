/* UDP from the host to a container. Each client has a *flow*, a socket of its own towards the container, so that answers find back; a flow that
 * is idle ends. Answers come from the address that the client has asked. */
#include "net.h"
#include <netinet/ip.h>

enum { MOST_FLOWS = 4096, LARGEST = 65536, BURST = 64 };

struct port
{
  struct source source;
  union address target;
  struct port *next;
};

struct flow
{
  struct source source;
  struct port *port;
  union address client;
  struct in6_pktinfo local6; /* where the client has sent to */
  struct in_pktinfo local4;
  int64_t used_ms;
  struct flow *next;
};

static struct flow *flows;
static struct port *ports;
static int flow_count;
static char buffer[LARGEST];

static bool
same (const union address *one, const union address *other)
{
  if (one->any.sa_family != other->any.sa_family)
    return false;
  if (one->any.sa_family == AF_INET)
    return one->v4.sin_port == other->v4.sin_port && one->v4.sin_addr.s_addr == other->v4.sin_addr.s_addr;
  return one->v6.sin6_port == other->v6.sin6_port && one->v6.sin6_scope_id == other->v6.sin6_scope_id
         && memcmp (&one->v6.sin6_addr, &other->v6.sin6_addr, sizeof one->v6.sin6_addr) == 0;
}

static ssize_t
answer (struct flow *flow, size_t size)
{
  union
  {
    char bytes[CMSG_SPACE (sizeof (struct in6_pktinfo))];
    struct cmsghdr align;
  } control = { 0 };
  bool is4 = flow->client.any.sa_family == AF_INET;
  size_t length = is4 ? sizeof flow->local4 : sizeof flow->local6;
  struct iovec data = { buffer, size };
  struct msghdr message = { .msg_name = &flow->client, .msg_namelen = address_size (&flow->client), .msg_iov = &data,
                            .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = CMSG_SPACE (length) };
  control.align.cmsg_level = is4 ? IPPROTO_IP : IPPROTO_IPV6;
  control.align.cmsg_type = is4 ? IP_PKTINFO : IPV6_PKTINFO;
  control.align.cmsg_len = CMSG_LEN (length);
  memcpy (CMSG_DATA (&control.align), is4 ? (void *) &flow->local4 : (void *) &flow->local6, length);
  return sendmsg (flow->port->source.fd, &message, 0);
}

static void
answered (struct source *source, uint32_t events)
{
  struct flow *flow = (struct flow *) source;
  (void) events;
  for (int i = 0; i < BURST; i++)
    {
      ssize_t got = recv (source->fd, buffer, sizeof buffer, 0);
      if (got < 0)
        return; /* nothing more, or the container refuses: its error has been read off */
      flow->used_ms = now_ms ();
      answer (flow, (size_t) got);
    }
}

static void
end (struct flow **place)
{
  struct flow *flow = *place;
  *place = flow->next;
  loop_forget (&flow->source);
  close (flow->source.fd);
  free (flow);
  flow_count--;
}

static struct flow *
begin (struct port *port, const union address *client)
{
  struct flow *flow = flow_count < MOST_FLOWS ? calloc (1, sizeof *flow) : NULL;
  if (flow == NULL)
    return NULL;
  *flow = (struct flow){ .port = port, .client = *client, .next = flows };
  flow->source = (struct source){ socket (port->target.any.sa_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), answered };
  if (flow->source.fd < 0 || connect (flow->source.fd, &port->target.any, address_size (&port->target)) < 0
      || loop_watch (&flow->source, EPOLLIN) < 0)
    {
      close (flow->source.fd);
      free (flow);
      return NULL;
    }
  flow_count++;
  return flows = flow;
}

static struct flow *
flow_of (struct port *port, const union address *client)
{
  for (struct flow *flow = flows; flow != NULL; flow = flow->next)
    if (flow->port == port && same (&flow->client, client))
      return flow;
  return begin (port, client);
}

static void
note_local (struct flow *flow, struct msghdr *message)
{
  for (struct cmsghdr *one = CMSG_FIRSTHDR (message); one != NULL; one = CMSG_NXTHDR (message, one))
    if (one->cmsg_level == IPPROTO_IP && one->cmsg_type == IP_PKTINFO)
      {
        struct in_pktinfo info;
        memcpy (&info, CMSG_DATA (one), sizeof info);
        flow->local4 = (struct in_pktinfo){ .ipi_spec_dst = info.ipi_spec_dst };
      }
    else if (one->cmsg_level == IPPROTO_IPV6 && one->cmsg_type == IPV6_PKTINFO)
      memcpy (&flow->local6, CMSG_DATA (one), sizeof flow->local6);
}

static void
asked (struct source *source, uint32_t events)
{
  struct port *port = (struct port *) source;
  (void) events;
  for (int i = 0; i < BURST; i++)
    {
      char control[CMSG_SPACE (sizeof (struct in6_pktinfo)) + CMSG_SPACE (sizeof (struct in_pktinfo))];
      union address client = { 0 };
      struct iovec data = { buffer, sizeof buffer };
      struct msghdr message = { .msg_name = &client, .msg_namelen = sizeof client, .msg_iov = &data, .msg_iovlen = 1,
                                .msg_control = control, .msg_controllen = sizeof control };
      ssize_t got = recvmsg (source->fd, &message, 0);
      if (got < 0)
        return;
      struct flow *flow = flow_of (port, &client);
      if (flow == NULL)
        continue; /* a datagram may be lost */
      note_local (flow, &message);
      flow->used_ms = now_ms ();
      (void) !send (flow->source.fd, buffer, (size_t) got, 0);
    }
}

void
datagrams_expire (void)
{
  int64_t oldest = now_ms () - FLOW_LIFE_MS;
  for (struct flow **place = &flows; *place != NULL;)
    if ((*place)->used_ms < oldest)
      end (place);
    else
      place = &(*place)->next;
}

int
datagrams_listen (int fd, const union address *target)
{
  int on = 1;
  struct port *port = calloc (1, sizeof *port);
  if (port == NULL)
    return -ENOMEM;
  setsockopt (fd, IPPROTO_IP, IP_PKTINFO, &on, sizeof on);
  setsockopt (fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, &on, sizeof on);
  *port = (struct port){ .source = { fd, asked }, .target = *target, .next = ports };
  ports = port;
  return loop_watch (&port->source, EPOLLIN);
}

void
datagrams_close (void)
{
  while (flows != NULL)
    end (&flows);
  for (struct port *one = ports; one != NULL; one = ports)
    {
      ports = one->next;
      loop_forget (&one->source);
      close (one->source.fd);
      free (one);
    }
}
