/* libbosun: the few system calls that the daemon needs itself and Bun does not have. Called through bun:ffi; every function returns
 * 0 or more, or -errno. Pointers are read during the call only. */
#include "sys.h"
#include <linux/bpf.h>
#include <linux/netlink.h>
#include <pthread.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/statfs.h>

#ifndef MFD_EXEC
#define MFD_EXEC 0x0010U
#endif
#define EXPORT __attribute__ ((visibility ("default")))

EXPORT int bosun_memfd (const char *path);
EXPORT int bosun_umount (const char *path, int flags);
EXPORT int bosun_lock (const char *path);
EXPORT int bosun_close (int fd);
EXPORT int bosun_pidfd_open (int pid);
EXPORT int bosun_pidfd_kill (int pidfd, int signal);
EXPORT int bosun_statfs (const char *path, uint64_t *out);
EXPORT int bosun_device_filter (const char *cgroup, const void *code, uint64_t size);
EXPORT void *bosun_alloc (uint64_t size);
EXPORT void bosun_free (void *memory);
EXPORT int64_t bosun_netlink (int protocol, int netns_pid, const void *request, uint64_t size, void *out, uint64_t room);

/* A copy of the file at PATH that nobody can change any more: a container that gets hold of /proc/<pid>/exe of a process of ours
 * finds nothing to overwrite (CVE-2019-5736). @return its descriptor */
int
bosun_memfd (const char *path)
{
  struct stat info;
  cleanup_close int source = open (path, O_RDONLY | O_CLOEXEC);
  if (source < 0 || fstat (source, &info) < 0)
    return -errno;
  int fd = memfd_create ("bosun-shim", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_EXEC);
  if (fd < 0 && errno == EINVAL) /* before Linux 6.3 */
    fd = memfd_create ("bosun-shim", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (fd < 0)
    return -errno;
  for (off_t left = info.st_size; left > 0;)
    {
      ssize_t done = sendfile (fd, source, NULL, (size_t) left);
      if (done <= 0)
        {
          int error = done < 0 ? -errno : -EIO;
          close (fd);
          return error;
        }
      left -= done;
    }
  if (fchmod (fd, 0555) == 0 && fcntl (fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) == 0)
    return fd;
  int error = -errno;
  close (fd);
  return error;
}

/* umount2(2) */
int
bosun_umount (const char *path, int flags)
{
  return checked (umount2 (path, flags));
}

/* Locks the file at PATH, made if missing, for this process and as long as the descriptor is open. -EWOULDBLOCK: another has it. */
int
bosun_lock (const char *path)
{
  int fd = open (path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0 || flock (fd, LOCK_EX | LOCK_NB) == 0)
    return checked (fd);
  int error = -errno;
  close (fd);
  return error;
}

int
bosun_close (int fd)
{
  return checked (close (fd));
}

/* pidfd_open(2): a hold on a process that never comes to mean another one. */
int
bosun_pidfd_open (int pid)
{
  return checked (pidfd_open (pid, 0));
}

/* pidfd_send_signal(2) */
int
bosun_pidfd_kill (int pidfd, int signal)
{
  return checked (pidfd_send_signal (pidfd, signal, NULL, 0));
}

/* statfs(2) into OUT: type, block size, blocks, free, available, inodes, free inodes. */
int
bosun_statfs (const char *path, uint64_t *out)
{
  struct statfs info;
  if (statfs (path, &info) < 0)
    return -errno;
  uint64_t fields[] = { (uint64_t) info.f_type, (uint64_t) info.f_bsize, info.f_blocks, info.f_bfree,
                        info.f_bavail, info.f_files, info.f_ffree };
  memcpy (out, fields, sizeof fields);
  return 0;
}

/* Lets the BPF program CODE (struct bpf_insn[], SIZE bytes) decide about devices in the v2 cgroup at path CGROUP, for as long as that
 * cgroup exists. See bpf(2), BPF_CGROUP_DEVICE. */
int
bosun_device_filter (const char *cgroup, const void *code, uint64_t size)
{
  union bpf_attr load = { .prog_type = BPF_PROG_TYPE_CGROUP_DEVICE,
                          .insns = (uint64_t) (uintptr_t) code,
                          .insn_cnt = (uint32_t) (size / sizeof (struct bpf_insn)),
                          .license = (uint64_t) (uintptr_t) "Apache" };
  cleanup_close int directory = open (cgroup, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (directory < 0)
    return -errno;
  cleanup_close int program = (int) syscall (SYS_bpf, BPF_PROG_LOAD, &load, sizeof load);
  if (program < 0)
    return -errno;
  union bpf_attr attach = { .target_fd = (uint32_t) directory,
                            .attach_bpf_fd = (uint32_t) program,
                            .attach_type = BPF_CGROUP_DEVICE,
                            .attach_flags = BPF_F_ALLOW_MULTI };
  return checked ((int) syscall (SYS_bpf, BPF_PROG_ATTACH, &attach, sizeof attach));
}

/* Memory that the caller of these functions may give as OUT: what a JavaScript engine owns may move. */
void *
bosun_alloc (uint64_t size)
{
  return calloc (1, size);
}

void
bosun_free (void *memory)
{
  free (memory);
}

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
  if (netns_pid == 0)
    return open_netlink (protocol);
  int error = pthread_create (&thread, NULL, open_elsewhere, &request);
  if (error != 0)
    return -error;
  pthread_join (thread, NULL);
  return request.result;
}

/* Sends the messages of REQUEST (SIZE bytes, one or a batch) over PROTOCOL, in the network namespace of process NETNS_PID (0: ours),
 * and gathers every answer into OUT. The kernel works on netlink messages while they are sent, and on a dump while the
 * part before is read: when nothing is left to read, nothing will come. @return bytes in OUT; -ENOSPC when ROOM is too small for them */
int64_t
bosun_netlink (int protocol, int netns_pid, const void *request, uint64_t size, void *out, uint64_t room)
{
  struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
  cleanup_close int fd = open_netlink_in (protocol, netns_pid);
  if (fd < 0)
    return fd;
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
