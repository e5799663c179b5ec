/* bosun-net names: the name service of one container, at 127.0.0.11. Who is where comes from files that the daemon writes (net-names-zone.c);
 * everything else is asked of servers elsewhere (net-names-upstream.c). Source of the wire format: RFC 1035, 6891. */
#pragma once
#include "net.h"

enum
{
  HEADER = 12,
  NAME_ROOM = 256,     /* a name on the wire has 255 bytes at most */
  PLAIN_ROOM = 512,    /* what a client takes over UDP that does not say more */
  DATAGRAM_MOST = 4096, /* what is asked for and taken over UDP */
  MESSAGE_MOST = 65535,
  TTL_S = 600,
  MOST_ANSWERS = 256,
};

enum rcode { NOERROR = 0, FORMERR = 1, SERVFAIL = 2, NXDOMAIN = 3, NOTIMP = 4 };
enum rrtype { TYPE_A = 1, TYPE_NS = 2, TYPE_CNAME = 5, TYPE_SOA = 6, TYPE_PTR = 12, TYPE_MX = 15, TYPE_AAAA = 28, TYPE_SRV = 33, TYPE_OPT = 41, TYPE_ANY = 255 };
enum { CLASS_IN = 1 };

static inline uint16_t
get16 (const uint8_t *at)
{
  return (uint16_t) (at[0] << 8 | at[1]);
}

static inline uint32_t
get32 (const uint8_t *at)
{
  return (uint32_t) get16 (at) << 16 | get16 (at + 2);
}

static inline void
put16 (uint8_t *at, unsigned value)
{
  at[0] = (uint8_t) (value >> 8);
  at[1] = (uint8_t) value;
}

static inline void
put32 (uint8_t *at, uint32_t value)
{
  put16 (at, value >> 16);
  put16 (at + 2, value & 0xffff);
}

/* net-names-wire.c: messages. */
struct question
{
  uint8_t name[NAME_ROOM]; /* as on the wire, in lower case */
  uint16_t size;           /* of the name */
  uint16_t type, class;
};

struct query
{
  struct question question;
  uint16_t end;   /* where the question ends */
  uint16_t room;  /* what the client takes over UDP */
  uint8_t kind;   /* queries of different kinds get different answers: bits of EDNS, DO, AD, CD */
  bool edns;
};

/* @return 0; a positive rcode for what is to be answered with that; -EBADMSG for what deserves no answer */
int query_parse (const uint8_t *message, size_t size, struct query *out);
/* Whether MESSAGE is well formed, every name and record of it, and answers QUESTION. */
bool answer_check (const uint8_t *message, size_t size, const struct question *question);
/* Calls EACH with the type and the place of the TTL of every record in sections up to LAST (1 answer, 2 authority, 3 additional) of a checked message. */
void answer_records (uint8_t *message, size_t size, int last, void (*each) (void *context, int section, uint16_t type, uint8_t *ttl), void *context);
/* "db.mine" for the name of a question; false for one that no file can have. */
bool question_text (const struct question *question, char text[NAME_ROOM]);
/* The address that a name below in-addr.arpa or ip6.arpa is of. */
bool question_address (const char *text, union address *out);

/* An answer under construction, after a copy of the question. */
struct reply
{
  uint8_t *bytes;
  size_t size, room;
};
void reply_begin (struct reply *reply, const uint8_t *message, const struct query *query, enum rcode rcode);
void reply_address (struct reply *reply, uint16_t type, const void *address);
bool reply_name (struct reply *reply, const char *text);
void reply_end (struct reply *reply, const struct query *query);
/* Leaves the question and says that there would be more. @return the size of what is left */
size_t reply_cut (uint8_t *message, const struct query *query);

/* net-names-zone.c: what the daemon's files say. */
struct host
{
  const char *name; /* of the container */
  struct in_addr v4;
  struct in6_addr v6;
  bool has4, has6;
};

struct server
{
  union address address;
  bool of_host; /* asked from the host's network namespace */
};
enum { MOST_SERVERS = 16 };

/* @param folder  `networks/ID` and `containers/ID` are below it. -errno when there is no file for CONTAINER */
int zone_open (int folder, const char *container);
/* Reads again what has been replaced. @return whether servers may have changed */
bool zone_refresh (void);
/* @return how many containers NAME means; 0 when it is not known here */
int zone_find (const char *name, const struct host **out, int most);
/* Puts "container.network" into NAME. @return false when nobody has ADDRESS */
bool zone_name_of (const union address *address, char *name, size_t room);
int zone_servers (const struct server **out);

/* net-names-cache.c: answers of others, while they are good. */
size_t cache_get (const struct query *query, uint8_t *out, size_t room);
void cache_put (const struct query *query, const uint8_t *message, size_t size);
void cache_clear (void);

/* net-names-stream.c: clients that ask over TCP. */
struct connection;

/* Whoever asked, and is to be answered. */
struct client
{
  struct connection *connection; /* NULL over UDP */
  union address address;
  uint16_t id;
};
int stream_listen (int fd);
void stream_send (struct connection *connection, const uint8_t *message, size_t size);
void stream_tick (void);
bool stream_busy (void);

/* net-names-upstream.c: what is not known here. */
int upstream_open (void);
/* @return false when too much is being asked already */
bool upstream_ask (const struct client *client, const struct query *query, const uint8_t *message, size_t size);
/* A client has gone. */
void upstream_forget (const struct connection *connection);
void upstream_tick (void);
bool upstream_busy (void);

/* net-names-lead.c: what programs send to port 53 of 127.0.0.11 goes to PORT, in the network namespace of this thread. */
int lead_to (uint16_t port);

/* net-names.c */
void names_asked (const struct client *client, const uint8_t *message, size_t size);
/* MESSAGE, which answers QUERY, with the client's own id. */
void names_reply (const struct client *client, const struct query *query, uint8_t *message, size_t size);
/* Ticks are wanted, from now on while anything is busy. */
void names_wake (void);
