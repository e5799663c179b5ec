/* bosun-net: what a container's networks need of a process on the host, in processes of their own so that shims stay small. */
#pragma once
#include "sys.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/socket.h>

/* What epoll tells of: READY is called with the events of FD. */
struct source
{
  int fd;
  void (*ready) (struct source *source, uint32_t events);
};

union address
{
  struct sockaddr any;
  struct sockaddr_in v4;
  struct sockaddr_in6 v6;
};

/* The one loop of the process. */
int loop_open (void);
int loop_watch (struct source *source, uint32_t events);
int loop_change (struct source *source, uint32_t events);
void loop_forget (struct source *source);
/* Called when all events that were told have been met: what a source belonged to may be freed now. */
extern void (*loop_idle) (void);
/* Ends only with the process. @param every  called when MS have passed since it was called last; NULL for never */
void loop_run (void (*every) (void), int ms);

/* TEXT and PORT as an address. -EINVAL for anything else. */
int address_parse (const char *text, uint16_t port, union address *out);
socklen_t address_size (const union address *address);

int64_t now_ms (void);

/* From now on this process ends with process PID. */
int follow (pid_t pid);
/* Reads a line: the caller has written down that this process is here. From then on nothing of it is left, and what is left to do needs no
 * privileges. Without one it ends now. */
void await_caller (void);
/* The same; it reads the pid of the process with whose end this one ends; from then on nothing of the caller is left. Without one it ends now. */
void follow_caller (void);

int ports_main (char **argv);
/* The same without a relay: who comes to the ports is refused. */
int hold_main (char **argv);
int names_main (char **words);

/* A TCP listener whose connections go on to TARGET. So are UDP datagrams, with answers to where they came from. */
int relay_listen (int fd, const union address *target);
int datagrams_listen (int fd, const union address *target);
void datagrams_expire (void);
/* Nothing new comes in any more. Connections go on; datagrams do not, since their answers would have no port to come from. */
void relays_close (void);
void datagrams_close (void);
/* How many connections there are. */
int relays_left (void);
/* Frees what has ended; only when no event is left that may lead to it. */
void relays_bury (void);
enum { FLOW_LIFE_MS = 90 * 1000 };
