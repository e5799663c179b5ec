/* What the parent of a container watches over, shared by the parts of its loop. */
#pragma once
#include "shim.h"
#include <time.h>

enum
{
  CHUNK_SIZE = 128 << 10,  /* read at once: what a pipe holds */
  STDIN_LIMIT = 64 << 10, /* of input that the container has not taken */
  CLIENT_LIMIT = 1 << 20, /* of output that a client has not taken; past it the container waits */
  GRACE_MS = 2000,        /* for output after the exit, when someone outside holds a pipe open. As Docker. */
  FLUSH_MS = 600 * 1000,  /* for a client that takes nothing of its last output */
  IDLE_MS = 500,          /* then memory goes back */
  PIECES = 8,             /* reads of less than a chunk … */
  HASTE_US = 1000,        /* … in so short a time: it is a flood, for now … */
  FLOOD_US = 10 * 1000,   /* … that is, for so long, and its output is gathered … */
  GATHER_US = 1000,        /* … for so long before each read … */
  PIPE_SIZE = 256 << 10,  /* … in pipes of this size, so that the container need not stop meanwhile */
  GRACE_SIZE = 2 * PIPE_SIZE + CHUNK_SIZE, /* more than CLIENT_LIMIT at the end, for what lies in the pipes already */
  CLIENTS_LIMIT = 256,
};

enum phase { BUILDING, READY, STARTED, EXITED };

/* How output comes. Monotonic microseconds. */
struct flow
{
  int64_t since; /* pieces are counted from then on */
  int pieces;
  int64_t flood_until;
  int64_t resume; /* nothing is read before */
};

struct watch
{
  struct run *run;
  const struct rundir *dir;
  enum phase phase;
  pid_t pid;
  int pidfd, channel, listener;
  int clone, wait, exec;    /* indexes of these operations, for failures that no operation reports */
  char go[8];               /* what the daemon has said after the plan */
  size_t go_size;
  bool released, executing; /* `go` was passed on; the program is about to run */
  bool making;              /* it does, and makes the process: see runtime.c */
  int out[3];               /* readable ends by stream: 1 stdout (or the terminal), 2 stderr; -1 at their end */
  int in;                   /* writable end of stdin; the terminal, or -1 */
  int terminal;             /* the terminal's other side, held while the process lives */
  bool in_ending;           /* close stdin when `input` is empty */
  struct queue input;
  struct client *clients;
  char *chunk;
  struct flow flow;
  siginfo_t ended;
  struct timespec ended_at;
  int64_t deadline; /* monotonic ms */
};

static inline bool
is_pty (const struct watch *watch)
{
  return watch->run->stdio == STDIO_PTY;
}

static inline void
close_fd (int *fd)
{
  if (*fd >= 0)
    close (*fd);
  *fd = -1;
}

int64_t now_us (void);
static inline int64_t now_ms (void) { return now_us () / 1000; }

/* --- rundir.c --- */

int publish (const struct rundir *dir, const char *name, const char *text);
int publish_pid (const struct watch *watch);
unsigned long long start_time (pid_t pid);
int listen_at (const struct rundir *dir, const char *name);

/* --- stdio.c --- */

bool is_blocked (const struct watch *watch);
bool is_gathering (const struct watch *watch);
void read_output (struct watch *watch, int stream);
void write_input (struct watch *watch);

/* --- serve.c --- */

void say_error (struct client *client, int error);
bool wants_input (const struct watch *watch, const struct client *client);
void serve_client (struct watch *watch, struct client *client, short events);
void drop_clients (struct watch *watch);

/* --- watch.c --- */

/* What follows is 0, or the exit code of a shim whose plan has failed. */
int give_up (struct watch *watch, int index, int error, const char *detail);
int program_runs (struct watch *watch);
void let_go (struct watch *watch);
void take_terminal (struct watch *watch, const int fds[2]);

/* --- runtime.c --- */

int take_made (struct watch *watch);
int start_made (struct watch *watch);

/* --- finish.c --- */

void take_exit (struct watch *watch);
int finish (struct watch *watch);
