/* Paths inside somebody's root: a container's, a volume's. What is there is hostile, and may change meanwhile. */
#include "lib.h"

enum { RACE_LIMIT = 64 };

/* Opens PATH as it is seen by who has ROOT as its root directory: links, also absolute ones and `..`, never lead out of it. ROOT is trusted;
 * FLAGS are of open(2). Returns a descriptor. */
int
bosun_open_in_root (const char *root, const char *path, int flags)
{
  cleanup_close int top = open (root, O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (top < 0)
    return -errno;
  for (int tries = 0;; tries++)
    {
      int fd = openat2 (top, path, (uint64_t) (unsigned int) flags | O_CLOEXEC, 0, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS);
      if (fd >= 0)
        return fd;
      if (errno != EAGAIN || tries == RACE_LIMIT) /* EAGAIN: something was renamed while `..` was resolved */
        return -errno;
    }
}
