/* Inside of what asks elsewhere: questions (net-names-upstream.c), each with an attempt for each server that is asked (net-names-attempt.c). */
#ifndef NET_UPSTREAM_H
#define NET_UPSTREAM_H
#include "net-names.h"

struct pending;

/* One server that is asked one question. */
struct attempt
{
  struct source source; /* its descriptor is -1 for datagrams that go over the host's sockets */
  struct pending *pending;
  const struct stream_socket *stream; /* of the host's; NULL for one of our own */
  struct server server;
  uint16_t id;
  bool live, over_stream;
  uint8_t *buffer; /* over TCP: what is to be sent, then what has come, each after its length */
  size_t done, size;
};

struct pending
{
  struct client client;
  struct query query;
  uint8_t *message;
  size_t size;
  struct attempt attempts[MOST_SERVERS];
  int tried, count;
  int64_t next_ms, end_ms;
  uint8_t refusal; /* the rcode of a server that would not answer */
};

/* net-names-attempt.c */
/* Sockets of the namespace that this thread is in: of the host's. */
int attempts_open (void);
/* Asks SERVER what ONE asks. */
int attempt_begin (struct attempt *attempt, struct pending *one, const struct server *server);
/* Once more, for datagrams get lost. */
void attempt_again (struct attempt *attempt);
/* Idempotent. */
void attempt_end (struct attempt *attempt);
/* @return false for what is not an answer to this question, and may be anybody's */
bool attempt_answered (struct attempt *attempt, uint8_t *message, size_t size);
bool server_same (const union address *one, const union address *other);

/* net-names-upstream.c */
void pending_finish (struct pending *one, uint8_t *message, size_t size);
/* A server will not answer: the next one is asked. */
void pending_failed (struct attempt *attempt);
/* A datagram has come to the host's sockets. @return whether it answers anything */
bool pending_answered (const union address *from, uint8_t *message, size_t size);

#endif
