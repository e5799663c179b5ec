/* Things put into a directory one by one, as a tar names them. Who else is in there may be hostile and at work: a directory is a descriptor,
 * what is put there is named by one component, and nothing that is there already is followed or written to. */
#include "lib.h"
#include <dirent.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

enum kind { DIRECTORY = 1, FILE_, SYMLINK, NODE };

/* As src/base/place.ts writes it. */
struct attributes
{
  int64_t mode, uid, gid, seconds, nanoseconds, major, minor;
};

static int remove_all (int dir, const char *name, int depth);

static int
empty (int dir, int depth)
{
  DIR *stream = fdopendir (dir);
  struct dirent *entry;
  int error = 0;
  if (stream == NULL)
    {
      close (dir);
      return -errno;
    }
  while (error == 0 && (entry = readdir (stream)) != NULL)
    if (strcmp (entry->d_name, ".") != 0 && strcmp (entry->d_name, "..") != 0)
      error = remove_all (dirfd (stream), entry->d_name, depth + 1);
  closedir (stream);
  return error;
}

/* No deeper than paths are long: each level costs a descriptor. */
static int
remove_all (int dir, const char *name, int depth)
{
  if (unlinkat (dir, name, 0) == 0 || errno == ENOENT)
    return 0;
  if (errno != EISDIR)
    return -errno;
  int inner = depth > 2048 ? -1 : openat (dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (inner < 0)
    return depth > 2048 ? -ENAMETOOLONG : -errno;
  int error = empty (inner, depth);
  return error < 0 ? error : checked (unlinkat (dir, name, AT_REMOVEDIR));
}

/* Attributes that this file system has no room for are left out, as Docker leaves them out. */
static int
set_xattrs (const char *path, const char *xattrs, uint64_t length)
{
  for (uint64_t at = 0; at < length;)
    {
      uint32_t size;
      const char *name = xattrs + at;
      const char *value = name + strlen (name) + 1 + sizeof size;
      memcpy (&size, value - sizeof size, sizeof size);
      if (lsetxattr (path, name, value, size, 0) < 0 && errno != ENOTSUP && errno != EPERM)
        return -errno;
      at = (uint64_t) (value + size - xattrs);
    }
  return 0;
}

/* The owner first: changing it takes away set-user-id bits and file capabilities. PATH is of /proc/self/fd. */
static int
set_attributes (int fd, const char *path, bool symlink, const struct attributes *given, const char *xattrs, uint64_t length)
{
  const struct timespec times[2] = { { given->seconds, given->nanoseconds }, { given->seconds, given->nanoseconds } };
  if (fchownat (fd, "", (uid_t) given->uid, (gid_t) given->gid, AT_EMPTY_PATH) < 0)
    return -errno;
  if (!symlink && chmod (path, (mode_t) given->mode & 07777) < 0)
    return -errno;
  int error = symlink ? 0 : set_xattrs (path, xattrs, length);
  return error < 0 ? error : checked (utimensat (fd, "", times, AT_EMPTY_PATH));
}

/* Finishes what bosun_place or bosun_open_in_root opened: its attributes. XATTRS: name, NUL, u32 size, value; again. */
int
bosun_place_attributes (int fd, const int64_t *attributes, const char *xattrs, uint64_t length)
{
  char path[64];
  struct stat info;
  snprintf (path, sizeof path, "/proc/self/fd/%d", fd);
  if (fstat (fd, &info) < 0)
    return -errno;
  return set_attributes (fd, path, S_ISLNK (info.st_mode), (const struct attributes *) attributes, xattrs, length);
}

static int
open_there (int dir, const char *name, int flags)
{
  return checked (openat (dir, name, flags | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
}

/* A file that is a mount point cannot be replaced, but it can be written. */
static int
place_file (int dir, const char *name, int removed)
{
  if (removed == -EBUSY)
    return open_there (dir, name, O_WRONLY | O_TRUNC);
  if (removed < 0)
    return removed;
  int fd = openat (dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
  return checked (fd);
}

/* Puts NAME into DIR. A directory that is there stays; anything else makes way, whole trees too. MODE has S_IF* bits for nodes.
 * Returns a descriptor, for a file one that can be written: give it its attributes, and close it. */
int
bosun_place (int dir, const char *name, int kind, const char *target, const int64_t *attributes)
{
  const struct attributes *given = (const struct attributes *) attributes;
  if (kind == DIRECTORY && (mkdirat (dir, name, 0700) == 0 || errno == EEXIST))
    {
      int fd = open_there (dir, name, O_PATH | O_DIRECTORY);
      if (fd != -ENOTDIR && fd != -ELOOP)
        return fd;
    }
  int removed = remove_all (dir, name, 0);
  if (kind == FILE_)
    return place_file (dir, name, removed);
  if (removed < 0)
    return removed;
  int made = kind == DIRECTORY ? mkdirat (dir, name, 0700)
             : kind == SYMLINK
                 ? symlinkat (target, dir, name)
                 : mknodat (dir, name, (mode_t) given->mode & (S_IFMT | 0700),
                            makedev ((unsigned int) given->major, (unsigned int) given->minor));
  return made < 0 ? -errno : open_there (dir, name, O_PATH);
}

/* Puts another name NAME into DIR for what is GOAL in FROM. */
int
bosun_place_link (int from, const char *goal, int dir, const char *name)
{
  if (linkat (from, goal, dir, name, 0) == 0)
    return 0;
  if (errno != EEXIST)
    return -errno;
  struct stat one, other;
  if (fstatat (from, goal, &one, AT_SYMLINK_NOFOLLOW) == 0 && fstatat (dir, name, &other, AT_SYMLINK_NOFOLLOW) == 0
      && one.st_ino == other.st_ino && one.st_dev == other.st_dev)
    return 0;
  int error = remove_all (dir, name, 0);
  return error < 0 ? error : checked (linkat (from, goal, dir, name, 0));
}
