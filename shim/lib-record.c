/* One entry of a tree as a record. */
#include "lib-tree.h"
#include <sys/xattr.h>

#ifndef SYS_getxattrat
#define SYS_getxattrat 464 /* Linux 6.13, the same on every architecture */
#define SYS_listxattrat 465
#endif

struct xattr
{
  uint32_t name_bytes, value_bytes;
  char text[];
};

static int
get_xattr (int dir, const char *name, const char *key, void *value, size_t size)
{
  struct { uint64_t value; uint32_t size, flags; } arguments = { (uintptr_t) value, (uint32_t) size, 0 };
  long result = syscall (SYS_getxattrat, dir, name, AT_SYMLINK_NOFOLLOW, key, &arguments, sizeof arguments);
  if (result >= 0 || errno != ENOSYS)
    return result < 0 ? -errno : (int) result;
  char path[64 + NAME_MAX];
  snprintf (path, sizeof path, "/proc/self/fd/%d/%s", dir, name);
  return checked ((int) lgetxattr (path, key, value, size));
}

static int
list_xattrs (int dir, const char *name, char *names)
{
  long result = syscall (SYS_listxattrat, dir, name, AT_SYMLINK_NOFOLLOW, names, XATTR_NAMES);
  if (result < 0 && errno == ENOSYS)
    {
      char path[64 + NAME_MAX];
      snprintf (path, sizeof path, "/proc/self/fd/%d/%s", dir, name);
      result = llistxattr (path, names, XATTR_NAMES);
    }
  if (result < 0)
    return errno == EOPNOTSUPP ? 0 : -errno;
  return (int) result;
}

/* Ends with a NUL, and with more of them up to a multiple of 8, counted from the record's start. */
static void
pad (struct room *room, const struct record *record)
{
  do
    *room->at++ = '\0';
  while ((room->at - (const char *) record) % 8 != 0);
}

static int
put_xattr (struct room *room, struct record *record, int dir, const char *name, const char *key)
{
  size_t key_bytes = strlen (key);
  if (!fits (room, sizeof (struct xattr) + key_bytes + 16))
    return -E2BIG;
  struct xattr *xattr = (struct xattr *) room->at;
  char *value = xattr->text + key_bytes + 1;
  int size = get_xattr (dir, name, key, value, (size_t) (room->end - value) - 8);
  if (size < 0)
    return size == -ENODATA ? 0 : size == -ERANGE ? -E2BIG : size;
  memcpy (xattr->text, key, key_bytes + 1);
  xattr->name_bytes = (uint32_t) key_bytes;
  xattr->value_bytes = (uint32_t) size;
  room->at = value + size;
  pad (room, record);
  record->xattrs++;
  return 0;
}

/* An overlay's own attributes become flags, or are nobody's business. */
static int
put_xattrs (struct room *room, struct record *record, int dir, const char *name, char *keys)
{
  static const char overlay[] = "trusted.overlay.";
  int length = list_xattrs (dir, name, keys);
  int error = length < 0 ? length : 0;
  for (const char *key = keys; error == 0 && key < keys + length; key += strlen (key) + 1)
    {
      char value = '\0';
      if (strncmp (key, overlay, sizeof overlay - 1) != 0)
        error = put_xattr (room, record, dir, name, key);
      else if (strcmp (key + sizeof overlay - 1, "opaque") == 0 && get_xattr (dir, name, key, &value, 1) == 1 && value == 'y')
        record->flags |= OPAQUE;
    }
  return error;
}

static void
fill (struct record *record, const struct statx *info)
{
  record->mode = info->stx_mode;
  record->uid = info->stx_uid;
  record->gid = info->stx_gid;
  record->mtime = info->stx_mtime.tv_sec;
  record->mtime_ns = info->stx_mtime.tv_nsec;
  record->size = info->stx_size;
  record->inode = info->stx_ino;
  record->device_major = info->stx_dev_major;
  record->device_minor = info->stx_dev_minor;
  record->rdev_major = info->stx_rdev_major;
  record->rdev_minor = info->stx_rdev_minor;
  record->links = info->stx_nlink;
}

static int
put_target (struct room *room, struct record *record, int dir, const char *name)
{
  ssize_t length = readlinkat (dir, name, room->at, PATH_MAX);
  if (length < 0)
    return -errno;
  record->target_bytes = (uint32_t) length;
  room->at += length;
  return 0;
}

int
record_put (struct room *room, enum kind kind, int dir, const char *name, char *keys, struct record **out)
{
  struct statx info;
  size_t name_bytes = strlen (name);
  struct room trial = *room;
  struct record *record = (struct record *) trial.at;
  *out = record;
  if (!fits (room, sizeof *record + name_bytes + PATH_MAX + 16))
    return -E2BIG;
  if (statx (dir, name, AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH | AT_NO_AUTOMOUNT, STATX_BASIC_STATS, &info) < 0)
    return -errno;
  memset (record, 0, sizeof *record);
  fill (record, &info);
  record->kind = (uint8_t) (kind == LEAF && S_ISDIR (info.stx_mode) ? ENTER : kind);
  record->name_bytes = (uint16_t) name_bytes;
  memcpy (record->text, name, name_bytes + 1);
  trial.at = record->text + name_bytes + 1;
  int error = S_ISLNK (info.stx_mode) ? put_target (&trial, record, dir, name) : 0;
  pad (&trial, record);
  if (error == 0)
    error = put_xattrs (&trial, record, dir, name[0] == '\0' ? "." : name, keys);
  if (error < 0)
    return error;
  record->bytes = (uint32_t) (trial.at - room->at);
  *room = trial;
  return 0;
}
