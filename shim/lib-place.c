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
set_xattrs (int fd, const char *xattrs, uint64_t length)
{
  char path[64];
  snprintf (path, sizeof path, "/proc/self/fd/%d", fd);
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

/* Of the three kinds of descriptor only a file's, open for writing, takes its mode. */
static int
set_mode (int fd, mode_t mode)
{
  char path[64];
  if (fchmod (fd, mode & 07777) == 0)
    return 0;
  if (errno != EBADF)
    return -errno;
  snprintf (path, sizeof path, "/proc/self/fd/%d", fd);
  return checked (chmod (path, mode & 07777));
}

/* Finishes what bosun_place or bosun_open_in_root opened: its attributes. XATTRS: name, NUL, u32 size, value; again. The owner comes first:
 * changing it takes away set-user-id bits and file capabilities. */
int
bosun_place_attributes (int fd, const int64_t *attributes, const char *xattrs, uint64_t length)
{
  const struct attributes *given = (const struct attributes *) attributes;
  const struct timespec times[2] = { { given->seconds, given->nanoseconds }, { given->seconds, given->nanoseconds } };
  struct stat info;
  if (fstat (fd, &info) < 0)
    return -errno;
  bool is_own = info.st_uid == (uid_t) given->uid && info.st_gid == (gid_t) given->gid;
  if (!is_own && fchownat (fd, "", (uid_t) given->uid, (gid_t) given->gid, AT_EMPTY_PATH) < 0)
    return -errno;
  int error = S_ISLNK (info.st_mode) ? 0 : set_mode (fd, (mode_t) given->mode);
  if (error == 0 && length > 0 && !S_ISLNK (info.st_mode))
    error = set_xattrs (fd, xattrs, length);
  return error < 0 ? error : checked (utimensat (fd, "", times, AT_EMPTY_PATH));
}

static int
open_there (int dir, const char *name, int flags)
{
  return checked (openat (dir, name, flags | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
}

/* Makes NAME where nothing is. @return a descriptor, or -EEXIST */
static int
make_new (int dir, const char *name, int kind, const char *target, const struct attributes *given)
{
  if (kind == FILE_)
    return checked (openat (dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  int made = kind == DIRECTORY ? mkdirat (dir, name, 0700)
             : kind == SYMLINK
                 ? symlinkat (target, dir, name)
                 : mknodat (dir, name, (mode_t) given->mode & (S_IFMT | 0700),
                            makedev ((unsigned int) given->major, (unsigned int) given->minor));
  return made < 0 ? -errno : open_there (dir, name, O_PATH);
}

static bool
is_directory (int dir, const char *name)
{
  struct stat info;
  return fstatat (dir, name, &info, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR (info.st_mode);
}

/* Puts NAME into DIR. A directory that is there stays; anything else makes way, whole trees too, unless KEEP: then a directory makes way for
 * nothing else, and nothing else for a directory (EISDIR, ENOTDIR). MODE has S_IF* bits for nodes.
 * Returns a descriptor, for a file one that can be written: give it its attributes, and close it. */
int
bosun_place (int dir, const char *name, int kind, const char *target, const int64_t *attributes, int keep)
{
  const struct attributes *given = (const struct attributes *) attributes;
  int fd = make_new (dir, name, kind, target, given);
  if (fd != -EEXIST)
    return fd;
  if (kind == DIRECTORY)
    {
      fd = open_there (dir, name, O_PATH | O_DIRECTORY);
      if (fd != -ENOTDIR && fd != -ELOOP)
        return fd;
      if (keep)
        return -ENOTDIR;
    }
  else if (keep && is_directory (dir, name))
    return -EISDIR;
  int removed = remove_all (dir, name, 0);
  if (removed == -EBUSY && kind == FILE_)
    return open_there (dir, name, O_WRONLY | O_TRUNC); /* a mount point cannot be replaced, but it can be written */
  return removed < 0 ? removed : make_new (dir, name, kind, target, given);
}

/* Puts a whole file into DIR: SIZE bytes of DATA. The rest as above. */
int
bosun_place_file (int dir, const char *name, const int64_t *attributes, const char *xattrs, uint64_t length, const char *data,
                  uint64_t size, int keep)
{
  cleanup_close int fd = bosun_place (dir, name, FILE_, "", attributes, keep);
  if (fd < 0)
    return fd;
  for (uint64_t at = 0; at < size;)
    {
      ssize_t done = write (fd, data + at, size - at);
      if (done < 0)
        return -errno;
      at += (uint64_t) done;
    }
  return bosun_place_attributes (fd, attributes, xattrs, length);
}

/* Puts another name NAME into DIR for what is GOAL in FROM. KEEP as above. */
int
bosun_place_link (int from, const char *goal, int dir, const char *name, int keep)
{
  if (linkat (from, goal, dir, name, 0) == 0)
    return 0;
  if (errno != EEXIST)
    return -errno;
  struct stat one, other;
  if (fstatat (from, goal, &one, AT_SYMLINK_NOFOLLOW) == 0 && fstatat (dir, name, &other, AT_SYMLINK_NOFOLLOW) == 0
      && one.st_ino == other.st_ino && one.st_dev == other.st_dev)
    return 0;
  if (keep && is_directory (dir, name))
    return -EISDIR;
  int error = remove_all (dir, name, 0);
  return error < 0 ? error : checked (linkat (from, goal, dir, name, 0));
}
