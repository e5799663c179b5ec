/* The rooms of the shim and what they share.
 *
 *   main.c    the command line            plan.c    words → operations, and which of them exist
 *   spawn.c   clone, the child's side     path.c    paths inside the container's root
 *   mount.c   operations that mount       root.c    operations on the container's root
 *   ops.c     namespaces, limits, …       user.c    Docker's user[:group]
 *   exec.c    the last steps: environment, directory, program
 *   idmap.c   mounts on which files have other owners
 *
 *   watch.c   the parent's loop           rundir.c  what a restarted daemon finds
 *   stdio.c   output and input            serve.c   requests on shim.sock
 *   finish.c  the end                     client.c  a connection, and what it has not read
 *   inherit.c the parent that leaves      hook.c    programs that a configuration runs on the way
 *   runtime.c a process that an OCI runtime makes
 *   copy.c    a directory's content       task.c    scheduling, labels, mappings
 *   log.c     the json-file log           rotate.c  its older files
 *   json.c    text in JSON
 *   init.c    docker-init
 */
#pragma once
#include "sys.h"

/* --- plan.c, spawn.c: a plan and the process that it makes --- */

enum stdio { STDIO_NULL, STDIO_PIPE, STDIO_PTY, STDIO_INHERIT };

/* What the operations of a plan act on. There is one in the parent; the child continues with a copy. */
struct run
{
  int root;             /* O_PATH of the container's root; -1 before `root`: paths are then the host's */
  int channel;          /* in the child: socket to the parent; -1 in the parent */
  enum stdio stdio;     /* as `stdio` said */
  bool stdin_open;      /* the container gets a stdin that clients can write to */
  bool stdin_once;      /* … and that ends with the first client's input */
  struct log *log;      /* NULL: none is kept */
  mode_t umask;         /* of the program */
  char **env;           /* of the program */
  bool hands_over;      /* `inherit`: stdio is the caller's, and so is the process in the end */
  int kept;             /* descriptors from 3 on that the program gets, too */
  int listener;         /* on which `park` waits for whoever starts the program; else -1 */
  int console;          /* socket to which the terminal goes, or, with `runtime`, at which it arrives; else -1 */
  char *pid_file;       /* `runtime`: the program makes the process, and names it there; else NULL */
  char **starter;       /* `runtime`: what starts the process then; empty when it runs already */
  bool parked;          /* the channel is the connection of whoever starts the program */
  const char *uid_map, *gid_map; /* of a new user namespace; else NULL */
  char home[PATH_MAX];  /* of the user; becomes HOME when the environment has none */
  char detail[512];     /* of a failure, beside its errno; empty when errno says it all */
};

struct operation
{
  const char *name;
  int (*perform) (struct run *run, int argc, char **argv); /* argv: the arguments alone, NULL at the end */
  int least, most; /* number of arguments; most -1: any */
  int where;
};
enum { IN_PARENT = 1, IN_CHILD = 2 };

struct op
{
  const struct operation *operation;
  int argc;
  char **argv;
};

struct plan
{
  char *text;    /* as read: the words, and perhaps bytes that follow the plan */
  size_t used;   /* bytes read */
  size_t end;    /* where the plan ends in text */
  char **words;  /* what every argv points into */
  struct op *ops;
  int count;
  int clone;     /* index of the `clone` operation, -1 without one */
};

struct failure { int index; int error; };

int plan_read (int fd, struct plan *plan, struct failure *failure, char *detail, size_t size);
void plan_free (struct plan *plan);
/* Performs ops[FROM…TO-1]. @return 0, or the failure's -errno with *AT its index. */
int plan_perform (struct run *run, const struct plan *plan, int from, int to, int *at);
__attribute__ ((format (printf, 2, 3))) void explain (struct run *run, const char *format, ...);

/* Messages on the channel, from child to parent; the parent answers MESSAGE_READY with one byte: go. */
enum
{
  MESSAGE_FAIL = 'F',
  MESSAGE_READY = 'R',
  MESSAGE_PTY = 'P',
  MESSAGE_PARKED = 'K',
  MESSAGE_EXEC = 'X',
};
struct message
{
  char type;
  int index, error;
  char detail[512];
};

struct child
{
  pid_t pid;
  int pidfd;
  int channel;
  int in, out, err; /* the parent's ends of the stdio pipes; -1 where there is none */
};

int spawn (struct run *run, const struct plan *plan, struct child *child);
/* Where the channel lies in the child: behind stdio and what is kept. */
static inline int channel_place (const struct run *run) { return 3 + run->kept; }
int channel_send (struct run *run, char type, const int *fds, int count);
/* @return 1 with a message, 0 at the end, -EAGAIN; fds[0..1] are set when the message carried them. */
int channel_receive (int channel, struct message *message, int fds[2]);

/* --- path.c --- */

int path_open (int root, const char *path, uint64_t flags, uint64_t resolve);
int path_make (int root, const char *path, mode_t type, mode_t mode);
int path_split (const char *path, char parent[PATH_MAX], char name[NAME_MAX + 1]);

/* --- operations --- */

typedef int operation (struct run *run, int argc, char **argv);
operation op_layer, op_umount, op_propagation, op_overlay, op_bind, op_share, op_mount, op_root, op_mkdir, op_file, op_mknod, op_symlink,
    op_mask, op_readonly, op_pivot, op_remount_ro_root, op_console, op_attributes;
operation op_stdio, op_log, op_join, op_clone, op_cgroup, op_unshare, op_session, op_hostname, op_domainname, op_sysctl,
    op_loopback, op_rlimit, op_oom_score, op_no_new_privs, op_caps, op_seccomp;
operation op_user, op_umask, op_cwd, op_env, op_wait, op_find, op_park, op_exec;
operation op_runtime, op_identity;
operation op_console_socket, op_map, op_label, op_hook, op_io_priority, op_scheduler, op_personality;
int keep_capabilities (void);
int raise_capabilities (void);

/* --- copy.c --- */

/* Copies what is in the directory FROM into the directory TO: content, owners, modes and times. */
int copy_content (int from, int to);

/* --- inherit.c --- */

/* A program of the container's must not reach the shim's file: on from a sealed copy in memory, unless this is one. */
int run_sealed (char **argv);
int inherit_main (char **argv);

/* --- log.c --- */

struct log *log_open (const char *path, uint64_t max_size, int max_file, const char *attributes, bool numbered, int *error);
void log_write (struct log *log, int stream, const char *data, size_t size);
void log_end (struct log *log);
/* Writes what is gathered. @return what has happened to the log since the last call */
enum { LOG_GROWN = 1, LOG_ROTATED = 2 };
unsigned int log_flush (struct log *log);
void log_trim (struct log *log);

/* --- json.c --- */

/* One byte becomes JSON_EXPANSION at most, and so many more may be written and mean nothing. */
enum { JSON_EXPANSION = 6, JSON_SLACK = 16 };
/* Writes TEXT for a place between quotes at OUT. @return its end */
char *json_text (char *out, const char *text, size_t size);

/* --- rotate.c --- */

int rotate_files (const char *path, int count);

/* --- client.c --- */

/* Bytes on their way: taken from the front, added at the end. */
struct queue { char *data; size_t start, end, room; };
/* Gives the memory of an empty queue back. */
void queue_trim (struct queue *queue);
/* Makes room for SIZE more bytes at the end. */
int queue_reserve (struct queue *queue, size_t size);
int queue_add (struct queue *queue, const void *data, size_t size);
void queue_take (struct queue *queue, size_t size);
static inline size_t queue_size (const struct queue *queue) { return queue->end - queue->start; }

enum role { ROLE_NEW, ROLE_ATTACH, ROLE_WAIT, ROLE_LOG, ROLE_ROTATIONS, ROLE_DONE };
struct client
{
  struct client *next;
  int fd;
  enum role role;
  bool streams[3]; /* ATTACH: which of stdin, stdout, stderr it wants */
  bool ended;      /* its input is over */
  bool gone;       /* it reads no more */
  char line[128];
  size_t line_size;
  struct queue out;
};

struct client *client_accept (int listener, struct client *rest);
void client_say (struct client *client, const char *text);
void client_output (struct client *client, int stream, bool framed, const char *data, size_t size);
void client_notify (struct client *client);
/* @return false when it is gone */
bool client_flush (struct client *client);
void client_free (struct client *client);

/* --- watch.c --- */

struct rundir { int fd; const char *path; };
/* @return the shim's exit code */
int watch (struct run *run, struct plan *plan, const struct child *child, const struct rundir *dir);

/* --- init.c --- */

int init_main (char **argv);
