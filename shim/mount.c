/* Operations that mount. All mounts are made detached and then moved onto a descriptor, so that no path is resolved by a call that
 * could be led out of the root. See fsopen(2), open_tree(2), mount_setattr(2), move_mount(2). */
#include "overlay.h"
#include "mount.h"
#include <sys/file.h>

#ifndef MS_NOSYMFOLLOW
#define MS_NOSYMFOLLOW 256
#endif

static int
parse_flags (const char *text, unsigned long *flags)
{
  uint64_t value = 0;
  int error = parse_number (text, UINT32_MAX, &value);
  *flags = value;
  return error;
}

/* A mask of mount(2) in the terms of mount_setattr(2). */
static struct mount_attr
attributes (unsigned long flags)
{
  static const struct { unsigned long flag; uint64_t attribute; } table[] = {
    { MS_RDONLY, MOUNT_ATTR_RDONLY },   { MS_NOSUID, MOUNT_ATTR_NOSUID },           { MS_NODEV, MOUNT_ATTR_NODEV },
    { MS_NOEXEC, MOUNT_ATTR_NOEXEC },   { MS_NODIRATIME, MOUNT_ATTR_NODIRATIME },   { MS_NOATIME, MOUNT_ATTR_NOATIME },
    { MS_STRICTATIME, MOUNT_ATTR_STRICTATIME }, { MS_NOSYMFOLLOW, MOUNT_ATTR_NOSYMFOLLOW },
  };
  struct mount_attr result = { .propagation = flags & (MS_PRIVATE | MS_SLAVE | MS_SHARED | MS_UNBINDABLE) };
  for (int i = 0; i < lengthof (table); i++)
    if (flags & table[i].flag)
      result.attr_set |= table[i].attribute;
  if (flags & (MS_NOATIME | MS_STRICTATIME | MS_RELATIME))
    result.attr_clr = MOUNT_ATTR__ATIME;
  return result;
}

int
set_attributes (int tree, unsigned long flags, bool recursive)
{
  struct mount_attr wanted = attributes (flags);
  if (wanted.attr_set == 0 && wanted.attr_clr == 0 && wanted.propagation == 0)
    return 0;
  unsigned int how = AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0);
  return checked (mount_setattr (tree, "", how, &wanted, sizeof wanted));
}

int
move_onto (int tree, int target)
{
  return checked (move_mount (tree, "", target, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH));
}

/* Keeps what the file system said about its failure. */
static int
context_failed (struct run *run, int context)
{
  int error = -errno;
  char text[sizeof run->detail];
  for (ssize_t size; (size = read (context, text, sizeof text - 1)) > 0;)
    {
      text[size] = '\0';
      if (size > 2 && text[0] == 'e')
        explain (run, "%s", text + 2);
    }
  return error;
}

int
set_option (struct run *run, int context, const char *key, const char *value)
{
  unsigned int command = value == NULL ? FSCONFIG_SET_FLAG : FSCONFIG_SET_STRING;
  if (fsconfig (context, command, key, value, 0) == 0)
    return 0;
  int error = context_failed (run, context);
  if (run->detail[0] == '\0')
    explain (run, "option %s%s%.200s", key, value == NULL ? "" : "=", value == NULL ? "" : value);
  return error;
}

int
create_mount (struct run *run, int context, uint64_t attribute_mask)
{
  if (fsconfig (context, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
    return context_failed (run, context);
  int tree = fsmount (context, FSMOUNT_CLOEXEC, (unsigned int) attribute_mask);
  return tree < 0 ? context_failed (run, context) : tree;
}

static int
is_mount_point (const char *path)
{
  struct statx info;
  if (statx (AT_FDCWD, path, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, 0, &info) < 0)
    return -errno;
  return (info.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0;
}

/* layer INDEX DEVICE TARGET: the lock on TARGET's parent keeps two starting containers from mounting twice. */
int
op_layer (struct run *run, int, char **argv)
{
  char parent[PATH_MAX], name[NAME_MAX + 1];
  int error = path_split (argv[2], parent, name);
  cleanup_close int target = error < 0 ? error : path_make (-1, argv[2], S_IFDIR, 0700);
  cleanup_close int lock = target < 0 ? target : open (parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (target < 0 || lock < 0 || flock (lock, LOCK_EX) < 0)
    return target < 0 ? target : -errno;
  int mounted = is_mount_point (argv[2]);
  if (mounted != 0)
    return mounted < 0 ? mounted : 0;
  cleanup_close int context = fsopen ("erofs", FSOPEN_CLOEXEC);
  if (context < 0)
    return -errno;
  error = set_option (run, context, "source", argv[0]);
  if (error == 0)
    error = set_option (run, context, "device", argv[1]);
  if (error == 0)
    error = set_option (run, context, "ro", NULL);
  if (error < 0)
    return error;
  cleanup_close int tree = create_mount (run, context, MOUNT_ATTR_RDONLY);
  if (tree < 0)
    return tree;
  error = move_onto (tree, target);
  return error < 0 ? error : set_attributes (tree, MS_PRIVATE, false);
}

/* umount PATH: what is no mount point, or is not there, is unmounted already. */
int
op_umount (struct run *, int, char **argv)
{
  if (umount2 (argv[0], UMOUNT_NOFOLLOW) == 0 || errno == EINVAL || errno == ENOENT)
    return 0;
  return -errno;
}

/* propagation FLAGS [PATH] */
int
op_propagation (struct run *, int argc, char **argv)
{
  unsigned long flags;
  int error = parse_flags (argv[0], &flags);
  return error < 0 ? error : checked (mount (NULL, argc > 1 ? argv[1] : "/", NULL, flags, NULL));
}

/* Returns a descriptor of the mount's root. */
static int
open_overlay (struct run *run, const struct overlay *overlay)
{
  cleanup_close int context = fsopen ("overlay", FSOPEN_CLOEXEC);
  if (context < 0)
    return -errno;
  int error = set_option (run, context, "source", "overlay");
  for (int i = 0; error == 0 && i < overlay->count; i++)
    error = set_option (run, context, "lowerdir+", overlay->lower[i]);
  if (error == 0 && overlay->upper[0] != '\0')
    error = set_option (run, context, "upperdir", overlay->upper);
  if (error == 0 && overlay->work[0] != '\0')
    error = set_option (run, context, "workdir", overlay->work);
  for (int i = 0; error == 0 && i < lengthof (overlay_off); i++)
    error = set_option (run, context, overlay_off[i], "off");
  return error < 0 ? error : create_mount (run, context, overlay->upper[0] == '\0' ? MOUNT_ATTR_RDONLY : 0);
}

/* overlay TARGET UPPER WORK LOWER…, the top layer first. */
int
op_overlay (struct run *run, int argc, char **argv)
{
  const struct overlay overlay = { .lower = argv + 3, .count = argc - 3, .upper = argv[1], .work = argv[2] };
  cleanup_close int target = path_make (run->root, argv[0], S_IFDIR, 0755);
  if (target < 0)
    return target;
  cleanup_close int tree = open_overlay (run, &overlay);
  if (tree != -EINVAL)
    return tree < 0 ? tree : move_onto (tree, target);
  char path[32];
  snprintf (path, sizeof path, "/proc/self/fd/%d", target);
  return overlay_mount (&overlay, path);
}

/* A copy of the mount at SOURCE; or, given BELOW, at that path in SOURCE, out of which no link of it leads. */
static int
copy_tree (const char *source, const char *below, bool recursive)
{
  unsigned int how = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | (recursive ? AT_RECURSIVE : 0U);
  if (below == NULL)
    return checked (open_tree (AT_FDCWD, source, how));
  cleanup_close int root = open (source, O_PATH | O_DIRECTORY | O_CLOEXEC);
  cleanup_close int place = root < 0 ? -errno : path_open (root, below, 0, 0);
  return place < 0 ? place : checked (open_tree (place, "", how | AT_EMPTY_PATH));
}

/* bind SOURCE TARGET FLAGS RECURSIVE-FLAGS CREATE [BELOW [UIDS GIDS]] */
int
op_bind (struct run *run, int argc, char **argv)
{
  unsigned long flags, deep;
  struct stat info;
  const char *below = argc > 5 && argv[5][0] != '\0' ? argv[5] : NULL;
  if (parse_flags (argv[2], &flags) < 0 || parse_flags (argv[3], &deep) < 0)
    return -EINVAL;
  cleanup_close int tree = copy_tree (argv[0], below, (flags & MS_REC) != 0);
  if (tree < 0 || fstat (tree, &info) < 0)
    {
      explain (run, "source %s%s%s", argv[0], below == NULL ? "" : ", in it ", below == NULL ? "" : below);
      return tree < 0 ? tree : -errno;
    }
  mode_t type = S_ISDIR (info.st_mode) ? S_IFDIR : S_IFREG;
  bool create = strcmp (argv[4], "1") == 0;
  cleanup_close int target
      = create ? path_make (run->root, argv[1], type, 0755) : path_open (run->root, argv[1], 0, 0);
  if (target < 0)
    return target;
  int error = argc > 7 ? map_ids (run, tree, argv[6], argv[7]) : 0;
  if (error == 0)
    error = set_attributes (tree, deep, true);
  if (error == 0)
    error = set_attributes (tree, flags & ~(unsigned long) MS_REC, false);
  return error < 0 ? error : move_onto (tree, target);
}

/* share NAMESPACE SOURCE TARGET: what is mounted at SOURCE in another mount namespace, out of whose root nothing leads. */
int
op_share (struct run *run, int, char **argv)
{
  cleanup_close int own = open ("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
  cleanup_close int other = open (argv[0], O_RDONLY | O_CLOEXEC);
  if (own < 0 || other < 0 || setns (other, CLONE_NEWNS) < 0)
    return -errno;
  cleanup_close int tree = checked (open_tree (AT_FDCWD, argv[1], OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_SYMLINK_NOFOLLOW));
  if (setns (own, CLONE_NEWNS) < 0)
    return -errno;
  if (tree < 0)
    {
      explain (run, "source %s", argv[1]);
      return tree;
    }
  cleanup_close int target = path_make (run->root, argv[2], S_IFDIR, 0755);
  int error = target < 0 ? target : set_attributes (tree, MS_PRIVATE, false);
  return error < 0 ? error : move_onto (tree, target);
}

/* Splits "a,b=c" at its commas and sets each. Flags that belong to a superblock have names of their own. */
static int
set_data (struct run *run, int context, unsigned long flags, char *data)
{
  static const struct { unsigned long flag; const char *name; } names[]
      = { { MS_SYNCHRONOUS, "sync" }, { MS_DIRSYNC, "dirsync" }, { MS_LAZYTIME, "lazytime" } };
  int error = 0;
  for (int i = 0; error == 0 && i < lengthof (names); i++)
    if (flags & names[i].flag)
      error = set_option (run, context, names[i].name, NULL);
  for (char *rest = data, *option; error == 0 && (option = strsep (&rest, ",")) != NULL;)
    {
      char *value = strchr (option, '=');
      if (value != NULL)
        *value++ = '\0';
      if (*option != '\0')
        error = set_option (run, context, option, value);
    }
  return error;
}

enum { LIKE_MODE = 1, LIKE_CONTENT = 2 };

/* What is mounted over TARGET looks like it: gets its mode, its content. */
static int
make_alike (int tree, int target, uint64_t like)
{
  struct stat info;
  if ((like & LIKE_MODE) != 0 && (fstat (target, &info) < 0 || fchmodat (tree, ".", info.st_mode & 07777, 0) < 0))
    return -errno;
  if ((like & LIKE_CONTENT) == 0)
    return 0;
  cleanup_close int from = openat (target, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  cleanup_close int to = openat (tree, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  return from < 0 || to < 0 ? -errno : copy_content (from, to);
}

/* mount TYPE SOURCE TARGET FLAGS DATA [LIKE]. A proc or sysfs behind a link could be swapped by whoever owns the link's goal, and with it
 * everything that is masked in it (CVE-2019-19921): their targets must be plain directories. */
int
op_mount (struct run *run, int argc, char **argv)
{
  unsigned long flags;
  uint64_t like = 0;
  int error = parse_flags (argv[3], &flags);
  if (error == 0 && argc > 5)
    error = parse_number (argv[5], LIKE_MODE | LIKE_CONTENT, &like);
  if (error < 0)
    return error;
  bool plain = strcmp (argv[0], "proc") == 0 || strcmp (argv[0], "sysfs") == 0;
  cleanup_close int made = path_make (run->root, argv[2], S_IFDIR, 0755);
  cleanup_close int target = made < 0 ? made : path_open (run->root, argv[2], O_DIRECTORY, plain ? RESOLVE_NO_SYMLINKS : 0);
  if (target < 0)
    return target;
  cleanup_close int context = fsopen (argv[0], FSOPEN_CLOEXEC);
  if (context < 0)
    {
      explain (run, "file system type %s", argv[0]);
      return -errno;
    }
  error = set_option (run, context, "source", argv[1][0] == '\0' ? argv[0] : argv[1]);
  if (error == 0)
    error = set_data (run, context, flags, argv[4]);
  if (error < 0)
    return error;
  /* what is filled is made read-only afterwards */
  unsigned long early = like == 0 ? flags : flags & ~(unsigned long) MS_RDONLY;
  cleanup_close int tree = create_mount (run, context, attributes (early).attr_set);
  if (tree < 0)
    return tree;
  error = make_alike (tree, target, like);
  if (error == 0 && early != flags)
    error = set_attributes (tree, MS_RDONLY, false);
  if (error == 0)
    error = move_onto (tree, target);
  return error < 0 ? error : set_attributes (tree, flags & (MS_PRIVATE | MS_SLAVE | MS_SHARED | MS_UNBINDABLE), false);
}

/* attributes PATH SET CLEAR DEEP: of the mount at PATH. */
int
op_attributes (struct run *run, int, char **argv)
{
  unsigned long set, clear;
  if (parse_flags (argv[1], &set) < 0 || parse_flags (argv[2], &clear) < 0)
    return -EINVAL;
  cleanup_close int place = path_open (run->root, argv[0], 0, 0);
  if (place < 0)
    return place;
  struct mount_attr wanted = attributes (set), unwanted = attributes (clear);
  wanted.attr_clr |= unwanted.attr_set & ~(uint64_t) MOUNT_ATTR__ATIME;
  if ((clear & (MS_NOATIME | MS_STRICTATIME)) != 0)
    wanted.attr_clr |= MOUNT_ATTR__ATIME;
  unsigned int how = AT_EMPTY_PATH | (strcmp (argv[3], "1") == 0 ? AT_RECURSIVE : 0U);
  return checked (mount_setattr (place, "", how, &wanted, sizeof wanted));
}
