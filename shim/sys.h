/* What every file of the shim uses: the kernel's headers, the one call that glibc 2.36 does not wrap, and the idioms.
 * One error convention: a function returns 0 or more, or -errno. */
#pragma once
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

static inline void
close_at_end (int *fd)
{
  if (*fd >= 0)
    close (*fd);
}

static inline void
free_at_end (void *pointer)
{
  free (*(void **) pointer);
}

#define cleanup_close __attribute__ ((cleanup (close_at_end)))
#define cleanup_free __attribute__ ((cleanup (free_at_end)))
#define lengthof(array) ((int) (sizeof (array) / sizeof (array)[0]))

static inline int
openat2 (int dir, const char *path, uint64_t flags, uint64_t mode, uint64_t resolve)
{
  struct open_how how = { .flags = flags, .mode = mode, .resolve = resolve };
  return (int) syscall (SYS_openat2, dir, path, &how, sizeof how);
}

/* Turns the C library's -1 into -errno. */
static inline int
checked (int result)
{
  return result < 0 ? -errno : result;
}

/* TEXT as a decimal number of at most MAX, into *OUT. -EINVAL unless it is all of that. */
static inline int
parse_number (const char *text, uint64_t max, uint64_t *out)
{
  char *end;
  errno = 0;
  unsigned long long value = strtoull (text, &end, 10);
  if (errno != 0 || end == text || *end != '\0' || text[0] < '0' || text[0] > '9' || value > max)
    return -EINVAL;
  *out = value;
  return 0;
}

/* Opens PATH for reading or writing and does the one read or write that files of the kernel want. */
static inline int
write_file (const char *path, const char *text)
{
  cleanup_close int fd = open (path, O_WRONLY | O_CLOEXEC);
  if (fd < 0 || write (fd, text, strlen (text)) < 0)
    return -errno;
  return 0;
}
