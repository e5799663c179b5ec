/* Paths inside the container's root. What an image holds is hostile: every component may be a link to anywhere. The kernel resolves
 * them below the root (openat2, RESOLVE_IN_ROOT) and gives a descriptor; nothing is ever named twice. */
#include "shim.h"

enum { DEPTH_LIMIT = 255, RACE_LIMIT = 64 };

/* Opens PATH with O_PATH | FLAGS (or, when FLAGS has O_ACCMODE bits or O_NONBLOCK, as FLAGS says). Before `root`, host paths. */
int
path_open (int root, const char *path, uint64_t flags, uint64_t resolve)
{
  bool plain = (flags & (O_ACCMODE | O_NONBLOCK)) != 0;
  uint64_t how = flags | O_CLOEXEC | (plain ? O_NOCTTY : O_PATH);
  if (root >= 0)
    resolve |= RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
  for (int tries = 0;; tries++)
    {
      int fd = openat2 (root >= 0 ? root : AT_FDCWD, path, how, 0, resolve);
      if (fd >= 0)
        return fd;
      if (errno != EAGAIN || tries == RACE_LIMIT) /* EAGAIN: something was renamed while `..` was resolved */
        return -errno;
    }
}

/* "/a/b/" → "/a" and "b"; "/" → "/" and "". */
int
path_split (const char *path, char parent[PATH_MAX], char name[NAME_MAX + 1])
{
  size_t end = strlen (path);
  while (end > 0 && path[end - 1] == '/')
    end--;
  size_t start = end;
  while (start > 0 && path[start - 1] != '/')
    start--;
  if (start >= PATH_MAX || end - start > NAME_MAX)
    return -ENAMETOOLONG;
  memcpy (name, path + start, end - start);
  name[end - start] = '\0';
  memcpy (parent, path, start);
  parent[start] = '\0';
  if (start == 0)
    strcpy (parent, path[0] == '/' ? "/" : ".");
  return 0;
}

static int make_at (int root, const char *path, mode_t type, mode_t mode, int depth);

/* NAME in PARENT exists and yet cannot be opened: it is a link to what is missing, and that is what has to be made. */
static int
make_through_link (int root, int dir, const char *parent, const char *name, mode_t type, mode_t mode, int depth)
{
  char link[PATH_MAX], next[2 * PATH_MAX + 2];
  ssize_t size = readlinkat (dir, name, link, sizeof link - 1);
  if (size < 0)
    return -errno;
  link[size] = '\0';
  snprintf (next, sizeof next, "%s%s%s", link[0] == '/' ? "" : parent, link[0] == '/' ? "" : "/", link);
  if (strlen (next) >= PATH_MAX)
    return -ENAMETOOLONG;
  return make_at (root, next, type, mode, depth + 1);
}

static int
make_at (int root, const char *path, mode_t type, mode_t mode, int depth)
{
  char parent[PATH_MAX], name[NAME_MAX + 1];
  int fd = path_open (root, path, 0, 0);
  if (fd != -ENOENT)
    return fd;
  int error = depth > DEPTH_LIMIT ? -ELOOP : path_split (path, parent, name);
  if (error < 0)
    return error;
  cleanup_close int dir = make_at (root, parent, S_IFDIR, 0755, depth + 1);
  if (dir < 0)
    return dir;
  if (strcmp (name, "") != 0 && strcmp (name, ".") != 0 && strcmp (name, "..") != 0)
    {
      if (type == S_IFDIR)
        error = checked (mkdirat (dir, name, mode));
      else
        {
          cleanup_close int file = openat (dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
          error = file < 0 ? -errno : 0;
        }
      if (error == -EEXIST) /* another process has made it meanwhile, or it is a link */
        {
          fd = path_open (root, path, 0, 0);
          return fd == -ENOENT ? make_through_link (root, dir, parent, name, type, mode, depth) : fd;
        }
      if (error < 0)
        return error;
    }
  return path_open (root, path, 0, 0);
}

/* An O_PATH descriptor of PATH; a directory or (TYPE S_IFREG) an empty file, and the directories above, are made where missing. */
int
path_make (int root, const char *path, mode_t type, mode_t mode)
{
  return make_at (root, path, type, mode, 0);
}
