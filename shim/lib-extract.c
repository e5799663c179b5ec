/* A layer's tree, made in a directory from steps that the layer engine wrote. */
#include "lib.h"
#include <stddef.h>
#include <sys/xattr.h>

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

/* Goes to a directory of the present one. */
static int
go_to (struct walk *walk, const char *name)
{
  int fd = openat (walk->here, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0)
    return -errno;
  close (walk->here);
  walk->here = fd;
  return 0;
}

/* The first step enters the root, where the walk begins. */
static int
enter (struct walk *walk, const struct step *step)
{
  if (step->name_bytes == 0)
    return 0;
  return mkdirat (walk->here, step->text, 0700) < 0 ? -errno : go_to (walk, step->text);
}

/* The last step leaves the root, and stays there: nothing outside is ever named. */
static int
leave (struct walk *walk, const struct step *step, bool last)
{
  int error = set_attributes (walk->here, step);
  return error < 0 || last ? error : go_to (walk, "..");
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
 * made survives a crash. FAILED becomes the offset of the step that failed; LENGTH when it was none of them. */
int
bosun_extract (const char *root, const char *tar, const char *steps, uint64_t length, uint64_t *failed)
{
  *failed = length;
  cleanup_close int top = open (root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  cleanup_close int data = open (tar, O_RDONLY | O_CLOEXEC);
  if (top < 0 || data < 0)
    return -errno;
  struct walk walk = { .root = top, .here = fcntl (top, F_DUPFD_CLOEXEC, 3), .tar = data };
  if (walk.here < 0)
    return -errno;
  int error = 0;
  for (uint64_t at = 0, next; error == 0 && at < length; at = next)
    {
      const struct step *step = (const struct step *) (steps + at);
      next = at + step->bytes;
      error = perform (&walk, step, next >= length);
      if (error < 0)
        *failed = at;
    }
  close (walk.here);
  return error < 0 ? error : checked (syncfs (top));
}
