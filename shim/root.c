/* Operations on the container's root: what is made in it, hidden in it, and its becoming /. */
#include "mount.h"
#include <linux/magic.h>
#include <sys/ioctl.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>

/* root PATH: from here on paths are the container's. */
int
op_root (struct run *run, int, char **argv)
{
  run->root = checked (open (argv[0], O_PATH | O_DIRECTORY | O_CLOEXEC));
  return run->root < 0 ? run->root : 0;
}

/* mkdir PATH MODE: with its parents; what exists is left as it is. */
int
op_mkdir (struct run *run, int, char **argv)
{
  uint64_t mode;
  if (parse_number (argv[1], 07777, &mode) < 0)
    return -EINVAL;
  cleanup_close int fd = path_make (run->root, argv[0], S_IFDIR, (mode_t) mode);
  return fd < 0 ? fd : 0;
}

/* The directory of PATH, made where missing, and its last component. */
static int
open_parent (struct run *run, const char *path, char name[NAME_MAX + 1])
{
  char parent[PATH_MAX];
  int error = path_split (path, parent, name);
  return error < 0 ? error : path_make (run->root, parent, S_IFDIR, 0755);
}

/* mknod PATH MODE MAJOR MINOR UID GID: MODE with its S_IF… bits. The same node may exist already. */
int
op_mknod (struct run *run, int, char **argv)
{
  char name[NAME_MAX + 1];
  uint64_t number[5];
  struct stat info;
  for (int i = 0; i < 5; i++)
    if (parse_number (argv[i + 1], UINT32_MAX, &number[i]) < 0)
      return -EINVAL;
  cleanup_close int dir = open_parent (run, argv[0], name);
  if (dir < 0)
    return dir;
  mode_t mode = (mode_t) number[0];
  dev_t device = makedev ((unsigned int) number[1], (unsigned int) number[2]);
  if (mknodat (dir, name, mode, device) == 0)
    return checked (fchownat (dir, name, (uid_t) number[3], (gid_t) number[4], AT_SYMLINK_NOFOLLOW));
  if (errno != EEXIST || fstatat (dir, name, &info, AT_SYMLINK_NOFOLLOW) < 0)
    return -errno;
  return (info.st_mode & S_IFMT) == (mode & S_IFMT) && info.st_rdev == device ? 0 : -EEXIST;
}

/* file PATH MODE: an empty one; what is at PATH already stays, be it a link. */
int
op_file (struct run *run, int, char **argv)
{
  char name[NAME_MAX + 1];
  uint64_t mode;
  if (parse_number (argv[1], 07777, &mode) < 0)
    return -EINVAL;
  cleanup_close int dir = open_parent (run, argv[0], name);
  if (dir < 0)
    return dir;
  return mknodat (dir, name, S_IFREG | (mode_t) mode, 0) < 0 && errno != EEXIST ? -errno : 0;
}

/* symlink GOAL PATH: what is at PATH already stays. */
int
op_symlink (struct run *run, int, char **argv)
{
  char name[NAME_MAX + 1];
  cleanup_close int dir = open_parent (run, argv[1], name);
  if (dir < 0)
    return dir;
  return symlinkat (argv[0], dir, name) < 0 && errno != EEXIST ? -errno : 0;
}

static int
empty_directory (struct run *run)
{
  cleanup_close int context = fsopen ("tmpfs", FSOPEN_CLOEXEC);
  if (context < 0)
    return -errno;
  int error = set_option (run, context, "size", "4096");
  if (error == 0)
    error = set_option (run, context, "nr_inodes", "1");
  return error < 0 ? error : create_mount (run, context, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);
}

/* A clone of the container's own /dev/null, which must be that device. */
static int
empty_file (struct run *run)
{
  struct stat info;
  cleanup_close int null = path_open (run->root, "/dev/null", 0, RESOLVE_NO_SYMLINKS);
  if (null < 0 || fstat (null, &info) < 0)
    return null < 0 ? null : -errno;
  if (!S_ISCHR (info.st_mode) || info.st_rdev != makedev (1, 3))
    return -ENODEV;
  return checked (open_tree (null, "", AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC));
}

/* mask PATH: nothing of it is seen. What is missing needs no mask. */
int
op_mask (struct run *run, int, char **argv)
{
  struct stat info;
  cleanup_close int target = path_open (run->root, argv[0], 0, 0);
  if (target == -ENOENT || target == -ENOTDIR)
    return 0;
  if (target < 0 || fstat (target, &info) < 0)
    return target < 0 ? target : -errno;
  cleanup_close int tree = S_ISDIR (info.st_mode) ? empty_directory (run) : empty_file (run);
  return tree < 0 ? tree : move_onto (tree, target);
}

/* readonly PATH: bound onto itself, read-only. What is missing needs none. */
int
op_readonly (struct run *run, int, char **argv)
{
  cleanup_close int target = path_open (run->root, argv[0], 0, 0);
  if (target == -ENOENT || target == -ENOTDIR)
    return 0;
  if (target < 0)
    return target;
  cleanup_close int tree
      = open_tree (target, "", AT_EMPTY_PATH | AT_RECURSIVE | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
  int error = tree < 0 ? -errno : set_attributes (tree, MS_RDONLY, true);
  return error < 0 ? error : move_onto (tree, target);
}

/* SIZE: rows and columns; without one the terminal keeps what it has. */
static int
set_size (int terminal, char *const size[2])
{
  uint64_t rows, columns;
  if (parse_number (size[0], UINT16_MAX, &rows) < 0 || parse_number (size[1], UINT16_MAX, &columns) < 0)
    return -EINVAL;
  struct winsize window = { .ws_row = (unsigned short) rows, .ws_col = (unsigned short) columns };
  return checked (ioctl (terminal, TIOCSWINSZ, &window));
}

/* console BIND [ROWS COLUMNS]: a terminal from the container's own devpts, so that it has a name in there; BIND 1 also binds it to /dev/console.
 * The parent gets the master, and a second hold on the other end, without which the master would hang up between two openers. */
int
op_console (struct run *run, int argc, char **argv)
{
  struct statfs info;
  int unlocked = 0;
  cleanup_close int master = path_open (run->root, "/dev/pts/ptmx", O_RDWR, RESOLVE_NO_SYMLINKS);
  if (master < 0 || fstatfs (master, &info) < 0)
    return master < 0 ? master : -errno;
  if (info.f_type != DEVPTS_SUPER_MAGIC)
    return -ENODEV;
  if (ioctl (master, TIOCSPTLCK, &unlocked) < 0)
    return -errno;
  cleanup_close int terminal = ioctl (master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
  if (terminal < 0)
    return -errno;
  int sized = argc == 3 ? set_size (terminal, argv + 1) : 0;
  if (sized < 0)
    return sized;
  if (strcmp (argv[0], "1") == 0)
    {
      cleanup_close int tree = open_tree (terminal, "", AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
      cleanup_close int target = tree < 0 ? -errno : path_make (run->root, "/dev/console", S_IFREG, 0600);
      int error = target < 0 ? target : move_onto (tree, target);
      if (error < 0)
        return error;
    }
  for (int fd = 0; fd < 3; fd++)
    if (dup2 (terminal, fd) < 0)
      return -errno;
  return channel_send (run, MESSAGE_PTY, (const int[]){ master, terminal }, 2);
}

/* Where the root is an initramfs there is nothing to pivot from. The host's tree stays, out of reach below the new root. */
static int
move_root (const struct run *run)
{
  if (fchdir (run->root) < 0 || mount (".", "/", NULL, MS_MOVE, NULL) < 0 || chroot (".") < 0 || chdir ("/") < 0)
    return -errno;
  return 0;
}

/* pivot [MOVE]: the root becomes /, the host's tree is gone; nothing of that may travel back to the host. */
int
op_pivot (struct run *run, int argc, char **argv)
{
  if (run->root >= 0 && argc == 1 && strcmp (argv[0], "1") == 0)
    return move_root (run);
  cleanup_close int before = open ("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (run->root < 0 || before < 0)
    return run->root < 0 ? -EINVAL : -errno;
  if (fchdir (run->root) < 0 || syscall (SYS_pivot_root, ".", ".") < 0 || fchdir (before) < 0
      || mount (NULL, ".", NULL, MS_SLAVE | MS_REC, NULL) < 0 || umount2 (".", MNT_DETACH) < 0 || chdir ("/") < 0)
    return -errno;
  return 0;
}

/* remount-ro-root: the root's own mount; what is mounted below keeps its state. */
int
op_remount_ro_root (struct run *run, int, char **)
{
  return run->root < 0 ? -EINVAL : set_attributes (run->root, MS_RDONLY, false);
}
