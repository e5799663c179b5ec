/* A table of ours in the container's network namespace: what programs send to port 53 of 127.0.0.11 goes to the port where we listen, which the
 * kernel has chosen, so that port 53 stays free for the container. As nft(8) would write it:
 *
 *   table ip bosun-names {
 *     chain output {
 *       type filter hook output priority raw
 *       ip daddr 127.0.0.11 udp dport 53 notrack udp dport set PORT
 *       ip saddr 127.0.0.11 udp sport PORT notrack udp sport set 53
 *       (and the same for tcp)
 *     }
 *   }
 *
 * in one transaction over netlink, some hundred microseconds. Ports are exchanged in each packet by itself: with NAT, every question of a busy
 * program would stay in the namespace's table of connections for half a minute, until nothing fits into it, and all of the container's packets
 * would be looked up there. Source: linux/netfilter/nf_tables.h. */
#include "net-names.h"
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>

#define TABLE "bosun-names"
enum { ROOM = 8192, RAW = -300, ADDRESS = INADDR_LOOPBACK + 10, NAMES_PORT = 53 };
/* In the headers of IPv4, TCP and UDP. */
enum { SOURCE_ADDRESS = 12, TARGET_ADDRESS = 16, SOURCE_PORT = 0, TARGET_PORT = 2, TCP_SUM = 16, UDP_SUM = 6 };

struct batch
{
  uint8_t bytes[ROOM];
  size_t size;
  struct nlmsghdr *message; /* that is being written */
};

static void
put (struct batch *batch, const void *bytes, size_t size)
{
  memcpy (batch->bytes + batch->size, bytes, size);
  batch->size += (size + 3) & ~(size_t) 3; /* the rest is zero already */
}

static struct nlattr *
attribute (struct batch *batch, unsigned type, const void *bytes, size_t size)
{
  struct nlattr *at = (struct nlattr *) (batch->bytes + batch->size);
  struct nlattr head = { .nla_len = (uint16_t) (sizeof (struct nlattr) + size), .nla_type = (uint16_t) type };
  put (batch, &head, sizeof head);
  put (batch, bytes, size);
  return at;
}

static void
text (struct batch *batch, unsigned type, const char *value)
{
  attribute (batch, type, value, strlen (value) + 1);
}

/* Numbers are in network order. */
static void
number (struct batch *batch, unsigned type, uint32_t value)
{
  value = htonl (value);
  attribute (batch, type, &value, sizeof value);
}

static struct nlattr *
nest (struct batch *batch, unsigned type)
{
  return attribute (batch, type | NLA_F_NESTED, "", 0);
}

static void
nest_end (struct batch *batch, struct nlattr *nested)
{
  nested->nla_len = (uint16_t) (batch->bytes + batch->size - (uint8_t *) nested);
}

static void
message (struct batch *batch, unsigned type, unsigned flags, unsigned family, unsigned resource)
{
  struct nlmsghdr head = { .nlmsg_type = (uint16_t) type, .nlmsg_flags = (uint16_t) (NLM_F_REQUEST | flags) };
  struct nfgenmsg generic = { .nfgen_family = (uint8_t) family, .res_id = htons ((uint16_t) resource) };
  batch->message = (struct nlmsghdr *) (batch->bytes + batch->size);
  put (batch, &head, sizeof head);
  put (batch, &generic, sizeof generic);
}

static void
message_end (struct batch *batch)
{
  batch->message->nlmsg_len = (uint32_t) (batch->bytes + batch->size - (uint8_t *) batch->message);
}

static void
begin (struct batch *batch, unsigned action, unsigned flags)
{
  message (batch, NFNL_SUBSYS_NFTABLES << 8 | action, NLM_F_ACK | flags, NFPROTO_IPV4, 0);
}

/* The two ends of one expression: `elem { name, data { … } }`. */
struct expression
{
  struct nlattr *element, *data;
};

static struct expression
expression (struct batch *batch, const char *name)
{
  struct expression at = { .element = nest (batch, NFTA_LIST_ELEM) };
  text (batch, NFTA_EXPR_NAME, name);
  at.data = nest (batch, NFTA_EXPR_DATA);
  return at;
}

static void
expression_end (struct batch *batch, struct expression at)
{
  nest_end (batch, at.data);
  nest_end (batch, at.element);
}

static void
value (struct batch *batch, unsigned type, const void *bytes, size_t size)
{
  struct nlattr *data = nest (batch, type);
  attribute (batch, NFTA_DATA_VALUE, bytes, size);
  nest_end (batch, data);
}

static void
compare (struct batch *batch, const void *bytes, size_t size)
{
  struct expression at = expression (batch, "cmp");
  number (batch, NFTA_CMP_SREG, NFT_REG_1);
  number (batch, NFTA_CMP_OP, NFT_CMP_EQ);
  value (batch, NFTA_CMP_DATA, bytes, size);
  expression_end (batch, at);
}

static void
payload (struct batch *batch, unsigned base, unsigned offset, const void *bytes, size_t size)
{
  struct expression at = expression (batch, "payload");
  number (batch, NFTA_PAYLOAD_DREG, NFT_REG_1);
  number (batch, NFTA_PAYLOAD_BASE, base);
  number (batch, NFTA_PAYLOAD_OFFSET, offset);
  number (batch, NFTA_PAYLOAD_LEN, (uint32_t) size);
  expression_end (batch, at);
  compare (batch, bytes, size);
}

static void
protocol (struct batch *batch, uint8_t wanted)
{
  struct expression at = expression (batch, "meta");
  number (batch, NFTA_META_DREG, NFT_REG_1);
  number (batch, NFTA_META_KEY, NFT_META_L4PROTO);
  expression_end (batch, at);
  compare (batch, &wanted, sizeof wanted);
}

static void
set_port (struct batch *batch, unsigned offset, uint8_t protocol_number, uint16_t port)
{
  uint16_t bytes = htons (port);
  struct expression loaded = expression (batch, "immediate");
  number (batch, NFTA_IMMEDIATE_DREG, NFT_REG_1);
  value (batch, NFTA_IMMEDIATE_DATA, &bytes, sizeof bytes);
  expression_end (batch, loaded);
  struct expression at = expression (batch, "payload");
  number (batch, NFTA_PAYLOAD_SREG, NFT_REG_1);
  number (batch, NFTA_PAYLOAD_BASE, NFT_PAYLOAD_TRANSPORT_HEADER);
  number (batch, NFTA_PAYLOAD_OFFSET, offset);
  number (batch, NFTA_PAYLOAD_LEN, sizeof bytes);
  number (batch, NFTA_PAYLOAD_CSUM_TYPE, NFT_PAYLOAD_CSUM_INET);
  number (batch, NFTA_PAYLOAD_CSUM_OFFSET, protocol_number == IPPROTO_TCP ? TCP_SUM : UDP_SUM);
  expression_end (batch, at);
}

/* A packet of 127.0.0.11, at ADDRESS_OFFSET, and of port FROM, at PORT_OFFSET, gets port TO instead. */
static void
rule (struct batch *batch, uint8_t protocol_number, unsigned address_offset, unsigned port_offset, uint16_t from, uint16_t to)
{
  uint32_t address = htonl (ADDRESS);
  uint16_t bytes = htons (from);
  begin (batch, NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND);
  text (batch, NFTA_RULE_TABLE, TABLE);
  text (batch, NFTA_RULE_CHAIN, "output");
  struct nlattr *expressions = nest (batch, NFTA_RULE_EXPRESSIONS);
  payload (batch, NFT_PAYLOAD_NETWORK_HEADER, address_offset, &address, sizeof address);
  protocol (batch, protocol_number);
  payload (batch, NFT_PAYLOAD_TRANSPORT_HEADER, port_offset, &bytes, sizeof bytes);
  expression_end (batch, expression (batch, "notrack"));
  set_port (batch, port_offset, protocol_number, to);
  nest_end (batch, expressions);
  message_end (batch);
}

static void
rules (struct batch *batch, uint8_t protocol_number, uint16_t port)
{
  rule (batch, protocol_number, TARGET_ADDRESS, TARGET_PORT, NAMES_PORT, port);
  rule (batch, protocol_number, SOURCE_ADDRESS, SOURCE_PORT, port, NAMES_PORT);
}

static void
table (struct batch *batch, unsigned action, unsigned flags)
{
  begin (batch, action, flags);
  text (batch, NFTA_TABLE_NAME, TABLE);
  message_end (batch);
}

static void
chain (struct batch *batch)
{
  begin (batch, NFT_MSG_NEWCHAIN, NLM_F_CREATE);
  text (batch, NFTA_CHAIN_TABLE, TABLE);
  text (batch, NFTA_CHAIN_NAME, "output");
  struct nlattr *hook = nest (batch, NFTA_CHAIN_HOOK);
  number (batch, NFTA_HOOK_HOOKNUM, NF_INET_LOCAL_OUT);
  number (batch, NFTA_HOOK_PRIORITY, (uint32_t) RAW);
  nest_end (batch, hook);
  text (batch, NFTA_CHAIN_TYPE, "filter");
  message_end (batch);
}

/* The kernel has worked on all of it when send(2) returns. @return the first refusal */
static int
refusal (int fd)
{
  uint8_t answer[8192];
  for (;;)
    {
      ssize_t got = recv (fd, answer, sizeof answer, MSG_DONTWAIT);
      if (got < 0)
        return errno == EAGAIN ? 0 : -errno;
      uint32_t left = (uint32_t) got;
      for (struct nlmsghdr *one = (struct nlmsghdr *) answer; NLMSG_OK (one, left); one = NLMSG_NEXT (one, left))
        if (one->nlmsg_type == NLMSG_ERROR && ((struct nlmsgerr *) NLMSG_DATA (one))->error != 0)
          return ((struct nlmsgerr *) NLMSG_DATA (one))->error;
    }
}

/* @param again  our table may be there, of a process before this one: it goes in the same transaction */
static int
lead (int fd, uint16_t port, bool again)
{
  struct batch batch = { 0 };
  message (&batch, NFNL_MSG_BATCH_BEGIN, 0, AF_UNSPEC, NFNL_SUBSYS_NFTABLES);
  message_end (&batch);
  if (again)
    table (&batch, NFT_MSG_DELTABLE, 0);
  table (&batch, NFT_MSG_NEWTABLE, NLM_F_CREATE | NLM_F_EXCL);
  chain (&batch);
  rules (&batch, IPPROTO_UDP, port);
  rules (&batch, IPPROTO_TCP, port);
  message (&batch, NFNL_MSG_BATCH_END, 0, AF_UNSPEC, NFNL_SUBSYS_NFTABLES);
  message_end (&batch);
  return send (fd, batch.bytes, batch.size, 0) < 0 ? -errno : refusal (fd);
}

/* Nothing is removed unless something is there: whoever has removed something waits for some milliseconds when the socket is closed. */
int
lead_to (uint16_t port)
{
  cleanup_close int fd = socket (AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
  if (fd < 0)
    return -errno;
  int error = lead (fd, port, false);
  return error == -EEXIST ? lead (fd, port, true) : error;
}
