/* Operations on the shim itself, namespaces, limits and privileges. Each is documented in PROTOCOL.md. */
#include "shim.h"
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>

/* stdio null|pipe|pty|inherit STDIN ONCE */
int
op_stdio (struct run *run, int, char **argv)
{
  static const char *const names[] = { [STDIO_NULL] = "null", [STDIO_PIPE] = "pipe", [STDIO_PTY] = "pty",
                                       [STDIO_INHERIT] = "inherit" };
  for (int i = 0; i < lengthof (names); i++)
    if (strcmp (argv[0], names[i]) == 0 && (i != STDIO_INHERIT || run->hands_over))
      {
        run->stdio = (enum stdio) i;
        run->stdin_open = strcmp (argv[1], "1") == 0;
        run->stdin_once = strcmp (argv[2], "1") == 0;
        return 0;
      }
  return -EINVAL;
}

/* log PATH MAX-SIZE MAX-FILE [ATTRIBUTES [NUMBERED]] */
int
op_log (struct run *run, int argc, char **argv)
{
  uint64_t size, files;
  int error = 0;
  if (parse_number (argv[1], INT64_MAX, &size) < 0 || parse_number (argv[2], 10000, &files) < 0)
    return -EINVAL;
  bool numbered = argc > 4 && strcmp (argv[4], "1") == 0;
  run->log = log_open (argv[0], size, (int) files, argc > 3 ? argv[3] : "", numbered, &error);
  return error;
}

/* clone FLAGS [CGROUP]: spawn.c does it, when everything before is done. */
int
op_clone (struct run *, int, char **)
{
  return -EINVAL;
}

/* join PATH FLAG: a namespace that exists. */
int
op_join (struct run *, int, char **argv)
{
  uint64_t type;
  if (parse_number (argv[1], UINT32_MAX, &type) < 0)
    return -EINVAL;
  cleanup_close int fd = open (argv[0], O_RDONLY | O_CLOEXEC);
  return fd < 0 ? -errno : checked (setns (fd, (int) type));
}

/* cgroup ENTRANCE: 0 is whoever writes it. */
int
op_cgroup (struct run *, int, char **argv)
{
  return write_file (argv[0], "0");
}

/* unshare FLAGS */
int
op_unshare (struct run *, int, char **argv)
{
  uint64_t flags;
  return parse_number (argv[0], UINT32_MAX, &flags) < 0 ? -EINVAL : checked (unshare ((int) flags));
}

/* session: of its own; a terminal on stdin becomes the one that controls it. */
int
op_session (struct run *run, int, char **)
{
  if (setsid () < 0)
    return -errno;
  return run->stdio == STDIO_PTY ? checked (ioctl (0, TIOCSCTTY, 0)) : 0;
}

/* hostname NAME */
int
op_hostname (struct run *, int, char **argv)
{
  return checked (sethostname (argv[0], strlen (argv[0])));
}

/* domainname NAME */
int
op_domainname (struct run *, int, char **argv)
{
  return checked (setdomainname (argv[0], strlen (argv[0])));
}

/* sysctl NAME VALUE: NAME with dots or slashes; the first of them is the one that separates, as in sysctl(8). */
int
op_sysctl (struct run *, int, char **argv)
{
  char path[PATH_MAX];
  size_t first = strcspn (argv[0], "./");
  bool dots = argv[0][first] == '.';
  if (snprintf (path, sizeof path, "%s", argv[0]) >= (int) sizeof path)
    return -ENAMETOOLONG;
  for (char *at = path; dots && *at != '\0'; at++)
    *at = *at == '.' ? '/' : *at == '/' ? '.' : *at;
  cleanup_close int root = open ("/proc/sys", O_PATH | O_DIRECTORY | O_CLOEXEC);
  cleanup_close int fd = root < 0 ? -1 : openat2 (root, path, O_WRONLY | O_CLOEXEC, 0, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS);
  return fd < 0 || write (fd, argv[1], strlen (argv[1])) < 0 ? -errno : 0;
}

/* loopback: lo of this network namespace is up. */
int
op_loopback (struct run *, int, char **)
{
  struct ifreq request = { .ifr_name = "lo" };
  cleanup_close int fd = socket (AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0 || ioctl (fd, SIOCGIFFLAGS, &request) < 0)
    return -errno;
  request.ifr_flags |= IFF_UP;
  return checked (ioctl (fd, SIOCSIFFLAGS, &request));
}

/* rlimit NUMBER SOFT HARD */
int
op_rlimit (struct run *run, int, char **argv)
{
  uint64_t number, soft, hard;
  struct rlimit old;
  if (parse_number (argv[0], RLIM_NLIMITS - 1, &number) < 0 || parse_number (argv[1], UINT64_MAX, &soft) < 0
      || parse_number (argv[2], UINT64_MAX, &hard) < 0)
    return -EINVAL;
  __rlimit_resource_t resource = (__rlimit_resource_t) number;
  if (setrlimit (resource, &(struct rlimit){ soft, hard }) == 0)
    return 0;
  int error = -errno;
  if (getrlimit (resource, &old) == 0 && old.rlim_max < hard)
    explain (run, "the hard limit is %llu, raising it to %llu needs CAP_SYS_RESOURCE", (unsigned long long) old.rlim_max,
             (unsigned long long) hard);
  return error;
}

/* oom-score N */
int
op_oom_score (struct run *run, int, char **argv)
{
  int error = write_file ("/proc/self/oom_score_adj", argv[0]);
  if (error == -EACCES)
    explain (run, "lowering it to %s needs CAP_SYS_RESOURCE", argv[0]);
  return error;
}

/* no-new-privs */
int
op_no_new_privs (struct run *, int, char **)
{
  return checked (prctl (PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
}

static int
get_capabilities (struct __user_cap_data_struct data[2])
{
  struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
  return checked ((int) syscall (SYS_capget, &header, data));
}

static int
set_capabilities (uint64_t effective, uint64_t permitted, uint64_t inheritable)
{
  struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
  struct __user_cap_data_struct data[2] = {
    { (uint32_t) effective, (uint32_t) permitted, (uint32_t) inheritable },
    { (uint32_t) (effective >> 32), (uint32_t) (permitted >> 32), (uint32_t) (inheritable >> 32) },
  };
  return checked ((int) syscall (SYS_capset, &header, data));
}

/* What is permitted outlives the change to another user … */
int
keep_capabilities (void)
{
  return checked (prctl (PR_SET_KEEPCAPS, 1, 0, 0, 0));
}

/* … and works again, until `caps` or the program's execution takes it. */
int
raise_capabilities (void)
{
  struct __user_cap_data_struct now[2];
  int error = get_capabilities (now);
  if (error < 0)
    return error;
  uint64_t permitted = now[0].permitted | (uint64_t) now[1].permitted << 32;
  return set_capabilities (permitted, permitted, now[0].inheritable | (uint64_t) now[1].inheritable << 32);
}

static int
limit_bounding_set (uint64_t wanted)
{
  for (unsigned long number = 0; number < 64 && prctl (PR_CAPBSET_READ, number) >= 0; number++)
    if ((wanted >> number & 1) == 0 && prctl (PR_CAPBSET_READ, number) == 1
        && prctl (PR_CAPBSET_DROP, number, 0, 0, 0) < 0)
      return -errno;
  return 0;
}

static int
set_ambient (uint64_t wanted)
{
  if (prctl (PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0)
    return -errno;
  for (unsigned long number = 0; number < 64; number++)
    if ((wanted >> number & 1) != 0 && prctl (PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, number, 0, 0) < 0)
      return -errno;
  return 0;
}

/* caps BOUNDING EFFECTIVE PERMITTED INHERITABLE AMBIENT, in hex */
int
op_caps (struct run *run, int, char **argv)
{
  uint64_t set[5];
  char *end;
  for (int i = 0; i < 5; i++)
    {
      set[i] = strtoull (argv[i], &end, 16);
      if (*argv[i] == '\0' || *end != '\0')
        return -EINVAL;
    }
  int error = raise_capabilities ();
  if (error == 0)
    error = limit_bounding_set (set[0]);
  if (error == 0)
    error = set_capabilities (set[1], set[2], set[3]);
  if (error == 0)
    error = set_ambient (set[4]);
  if (error == -EPERM)
    explain (run, "capabilities that the engine does not have itself");
  return error;
}

static int
hex_digit (char c)
{
  return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* seccomp FLAGS FILTER: struct sock_filter[] in hex */
int
op_seccomp (struct run *, int, char **argv)
{
  uint64_t flags;
  size_t size = strlen (argv[1]) / 2;
  size_t count = size / sizeof (struct sock_filter);
  if (parse_number (argv[0], UINT32_MAX, &flags) < 0 || count == 0 || count > BPF_MAXINSNS
      || strlen (argv[1]) != count * sizeof (struct sock_filter) * 2)
    return -EINVAL;
  cleanup_free unsigned char *bytes = malloc (size);
  if (bytes == NULL)
    return -ENOMEM;
  for (size_t i = 0; i < size; i++)
    {
      int high = hex_digit (argv[1][2 * i]), low = hex_digit (argv[1][2 * i + 1]);
      if (high < 0 || low < 0)
        return -EINVAL;
      bytes[i] = (unsigned char) (high << 4 | low);
    }
  struct sock_fprog program = { .len = (unsigned short) count, .filter = (struct sock_filter *) (void *) bytes };
  return checked ((int) syscall (SYS_seccomp, SECCOMP_SET_MODE_FILTER, (unsigned int) flags, &program));
}
