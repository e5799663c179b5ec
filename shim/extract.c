/* The store's half of libbosun.so: making a layer's tree in a directory, opening mounts without attaching them, xattrs.
 * Called through bun:ffi; every function returns 0 or more, or -errno. */
#include "sys.h"
#include <pthread.h>
#include <stddef.h>
#include <sys/xattr.h>

#define EXPORT __attribute__ ((visibility ("default")))

EXPORT int64_t bosun_extract (const char *root, const char *tar, const char *steps, uint64_t length);
EXPORT int bosun_open_mount (const char *type, const char *options);
EXPORT int bosun_attach (int mount, const char *target);
EXPORT int bosun_detach (const char *target);
EXPORT int64_t bosun_get_xattr (const char *path, const char *name, void *value, uint64_t size);
EXPORT int64_t bosun_list_xattrs (const char *path, void *names, uint64_t size);

/* A step, as wasm/steps-write.ts draws it. Little endian, as every machine that Bun runs on. */
struct step
{
  uint32_t bytes;
  uint8_t kind;
  uint8_t sparse; /* a file made of pieces, rather than of one run of SIZE bytes */
  uint16_t name_bytes;
  uint32_t mode, uid, gid, mtime_ns;
  int64_t mtime;
  uint64_t size, data;
  uint32_t rdev, target_bytes, pieces, xattrs;
  char text[];
};

_Static_assert (offsetof (struct step, text) == 64, "as drawn in wasm/steps-write.ts");

struct piece
{
  uint64_t offset, length;
};

struct xattr
{
  uint16_t name_bytes, value_bytes;
  char text[];
};

enum kind { ENTER = 1, LEAVE, FILE_, SYMLINK, NODE, LINK };

struct walk
{
  int root, here, tar;
};

static const char *
target_of (const struct step *step)
{
  return step->text + step->name_bytes + 1;
}

static const struct piece *
pieces_of (const struct step *step)
{
  size_t text = sizeof *step + step->name_bytes + 1u + step->target_bytes + 1u;
  return (const struct piece *) ((const char *) step + ((text + 7) & ~(size_t) 7));
}

/* Attributes that this file system has no room for are left out, as Docker leaves them out. */
static int
set_xattrs (int fd, const char *path, const struct step *step)
{
  const char *at = (const char *) (pieces_of (step) + step->pieces);
  for (uint32_t i = 0; i < step->xattrs; i++)
    {
      const struct xattr *xattr = (const struct xattr *) at;
      const char *value = xattr->text + xattr->name_bytes + 1;
      int result = fd >= 0 ? fsetxattr (fd, xattr->text, value, xattr->value_bytes, 0)
                           : lsetxattr (path, xattr->text, value, xattr->value_bytes, 0);
      bool trusted = strncmp (xattr->text, "trusted.", 8) == 0;
      if (result < 0 && (trusted || (errno != ENOTSUP && errno != EPERM)))
        return -errno;
      at = value + xattr->value_bytes;
    }
  return 0;
}

static void
times_of (const struct step *step, struct timespec times[2])
{
  times[0].tv_sec = times[1].tv_sec = step->mtime;
  times[0].tv_nsec = times[1].tv_nsec = step->mtime_ns;
}

/* The owner first: changing it takes away set-user-id bits and file capabilities. */
static int
set_attributes (int fd, const struct step *step)
{
  struct timespec times[2];
  times_of (step, times);
  if (fchown (fd, step->uid, step->gid) < 0 || fchmod (fd, step->mode & 07777) < 0)
    return -errno;
  int error = set_xattrs (fd, NULL, step);
  return error < 0 ? error : checked (futimens (fd, times));
}

/* What cannot be opened for its attributes: symlinks, devices, pipes. */
static int
set_attributes_at (int dir, const char *name, const struct step *step)
{
  struct timespec times[2];
  char path[64 + NAME_MAX];
  times_of (step, times);
  if (fchownat (dir, name, step->uid, step->gid, AT_SYMLINK_NOFOLLOW) < 0)
    return -errno;
  if (step->kind != SYMLINK && fchmodat (dir, name, step->mode & 07777, 0) < 0)
    return -errno;
  snprintf (path, sizeof path, "/proc/self/fd/%d/%s", dir, name);
  int error = set_xattrs (-1, path, step);
  return error < 0 ? error : checked (utimensat (dir, name, times, AT_SYMLINK_NOFOLLOW));
}

static int
copy_range (int from, uint64_t from_offset, int to, uint64_t to_offset, uint64_t length)
{
  loff_t in = (loff_t) from_offset, out = (loff_t) to_offset;
  while (length > 0)
    {
      ssize_t done = copy_file_range (from, &in, to, &out, length, 0);
      if (done <= 0)
        return done < 0 ? -errno : -EIO;
      length -= (uint64_t) done;
    }
  return 0;
}

static int
make_file (const struct walk *walk, const struct step *step)
{
  cleanup_close int fd = openat (walk->here, step->text, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (fd < 0)
    return -errno;
  const struct piece whole = { 0, step->size };
  const struct piece *pieces = step->sparse ? pieces_of (step) : &whole;
  uint64_t data = step->data;
  for (uint32_t i = 0; i < (step->sparse ? step->pieces : 1); i++)
    {
      int error = copy_range (walk->tar, data, fd, pieces[i].offset, pieces[i].length);
      if (error < 0)
        return error;
      data += pieces[i].length;
    }
  if (step->sparse && ftruncate (fd, (off_t) step->size) < 0)
    return -errno;
  return set_attributes (fd, step);
}

static int
enter (struct walk *walk, const struct step *step)
{
  if (step->name_bytes == 0)
    return 0;
  if (mkdirat (walk->here, step->text, 0700) < 0)
    return -errno;
  int fd = openat (walk->here, step->text, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0)
    return -errno;
  close (walk->here);
  walk->here = fd;
  return 0;
}

/* The last step leaves the root, and stays there: nothing outside is ever named. */
static int
leave (struct walk *walk, const struct step *step, bool last)
{
  int error = set_attributes (walk->here, step);
  if (error < 0 || last)
    return error;
  int fd = openat (walk->here, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0)
    return -errno;
  close (walk->here);
  walk->here = fd;
  return 0;
}

static int
perform (struct walk *walk, const struct step *step, bool last)
{
  switch (step->kind)
    {
    case ENTER:
      return enter (walk, step);
    case LEAVE:
      return leave (walk, step, last);
    case FILE_:
      return make_file (walk, step);
    case SYMLINK:
      if (symlinkat (target_of (step), walk->here, step->text) < 0)
        return -errno;
      return set_attributes_at (walk->here, step->text, step);
    case NODE:
      if (mknodat (walk->here, step->text, step->mode & (S_IFMT | 0700), step->rdev) < 0)
        return -errno;
      return set_attributes_at (walk->here, step->text, step);
    case LINK:
      return checked (linkat (walk->root, target_of (step), walk->here, step->text, 0));
    default:
      return -EINVAL;
    }
}

/* Makes a layer's tree in the empty directory ROOT, contents from TAR. LENGTH bytes of STEPS, as the layer engine wrote them. What was
 * made survives a crash. Returns 0, or -(offset of the failing step * 4096 + errno). */
int64_t
bosun_extract (const char *root, const char *tar, const char *steps, uint64_t length)
{
  cleanup_close int top = open (root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  cleanup_close int data = open (tar, O_RDONLY | O_CLOEXEC);
  if (top < 0 || data < 0)
    return -errno;
  struct walk walk = { .root = top, .here = fcntl (top, F_DUPFD_CLOEXEC, 3), .tar = data };
  int error = checked (walk.here);
  uint64_t at = 0;
  while (error >= 0 && at < length)
    {
      const struct step *step = (const struct step *) (steps + at);
      error = perform (&walk, step, at + step->bytes >= length);
      if (error >= 0)
        at += step->bytes;
    }
  if (walk.here >= 0)
    close (walk.here);
  if (error >= 0)
    error = checked (syncfs (top));
  return error < 0 ? -((int64_t) at * 4096 - error) : 0;
}

/* Opens a mount that is attached nowhere. OPTIONS are "key=value" or "flag", each ended by NUL, and an empty one.
 * Returns a descriptor: the mount's root. */
int
bosun_open_mount (const char *type, const char *options)
{
  cleanup_close int context = fsopen (type, FSOPEN_CLOEXEC);
  if (context < 0)
    return -errno;
  for (const char *option = options; *option != '\0'; option += strlen (option) + 1)
    {
      char key[64];
      const char *value = strchr (option, '=');
      size_t size = value == NULL ? strlen (option) : (size_t) (value - option);
      if (size >= sizeof key)
        return -EINVAL;
      memcpy (key, option, size);
      key[size] = '\0';
      int result = value == NULL ? fsconfig (context, FSCONFIG_SET_FLAG, key, NULL, 0)
                                 : fsconfig (context, FSCONFIG_SET_STRING, key, value + 1, 0);
      if (result < 0)
        return -errno;
    }
  if (fsconfig (context, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
    return -errno;
  return checked (fsmount (context, FSMOUNT_CLOEXEC, 0));
}

/* Attaches what bosun_open_mount opened. */
int
bosun_attach (int mount, const char *target)
{
  return checked (move_mount (mount, "", AT_FDCWD, target, MOVE_MOUNT_F_EMPTY_PATH));
}

static void *
close_slowly (void *fd)
{
  close ((int) (intptr_t) fd);
  return NULL;
}

/* Takes a mount out of the tree at once. Its caches, which may be large, are given back by another thread: the last descriptor keeps
 * the file system alive until there. */
int
bosun_detach (const char *target)
{
  pthread_t thread;
  int fd = open (target, O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0)
    return -errno;
  int result = checked (umount2 (target, MNT_DETACH | UMOUNT_NOFOLLOW));
  if (pthread_create (&thread, NULL, close_slowly, (void *) (intptr_t) fd) != 0)
    close (fd);
  else
    pthread_detach (thread);
  return result;
}

/* A symlink's own attribute. Returns its length; with SIZE 0, only that. */
int64_t
bosun_get_xattr (const char *path, const char *name, void *value, uint64_t size)
{
  ssize_t length = lgetxattr (path, name, value, size);
  return length < 0 ? -errno : length;
}

/* Names, each ended by NUL. Returns their length; with SIZE 0, only that. */
int64_t
bosun_list_xattrs (const char *path, void *names, uint64_t size)
{
  ssize_t length = llistxattr (path, names, size);
  return length < 0 ? -errno : length;
}
