/* The content of a directory, copied into another file system. What is copied is an image's: no link in it is followed. */
#include "shim.h"
#include <dirent.h>
#include <sys/sendfile.h>

enum { DEPTH_LIMIT = 128, COPY_SIZE = 1 << 20 };

static int copy_directory (int from, int to, int depth);

static int
copy_file (int from_dir, int to_dir, const char *name)
{
  cleanup_close int from = openat (from_dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  cleanup_close int to = openat (to_dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (from < 0 || to < 0)
    return -errno;
  ssize_t size;
  while ((size = sendfile (to, from, NULL, COPY_SIZE)) > 0)
    ;
  return size < 0 ? -errno : 0;
}

static int
copy_link (int from_dir, int to_dir, const char *name)
{
  char goal[PATH_MAX];
  ssize_t size = readlinkat (from_dir, name, goal, sizeof goal - 1);
  if (size < 0)
    return -errno;
  goal[size] = '\0';
  return checked (symlinkat (goal, to_dir, name));
}

static int
copy_inner (int from_dir, int to_dir, const char *name, int depth)
{
  if (mkdirat (to_dir, name, 0700) < 0)
    return -errno;
  int from = openat (from_dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (from < 0)
    return -errno;
  cleanup_close int to = openat (to_dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (to >= 0)
    return copy_directory (from, to, depth + 1);
  close (from);
  return -errno;
}

/* Owner before mode, which would lose its set-id bits; times last. */
static int
copy_attributes (int to_dir, const char *name, const struct stat *info)
{
  const struct timespec times[] = { info->st_atim, info->st_mtim };
  if (fchownat (to_dir, name, info->st_uid, info->st_gid, AT_SYMLINK_NOFOLLOW) < 0)
    return -errno;
  if (!S_ISLNK (info->st_mode) && fchmodat (to_dir, name, info->st_mode & 07777, 0) < 0)
    return -errno;
  return checked (utimensat (to_dir, name, times, AT_SYMLINK_NOFOLLOW));
}

static int
copy_entry (int from_dir, int to_dir, const char *name, int depth)
{
  struct stat info;
  int error;
  if (fstatat (from_dir, name, &info, AT_SYMLINK_NOFOLLOW) < 0)
    return -errno;
  if (S_ISDIR (info.st_mode))
    error = copy_inner (from_dir, to_dir, name, depth);
  else if (S_ISREG (info.st_mode))
    error = copy_file (from_dir, to_dir, name);
  else if (S_ISLNK (info.st_mode))
    error = copy_link (from_dir, to_dir, name);
  else
    error = checked (mknodat (to_dir, name, info.st_mode & S_IFMT, info.st_rdev));
  return error < 0 ? error : copy_attributes (to_dir, name, &info);
}

/* Closes FROM. */
static int
copy_directory (int from, int to, int depth)
{
  DIR *entries = depth > DEPTH_LIMIT ? NULL : fdopendir (from);
  if (entries == NULL)
    {
      close (from);
      return depth > DEPTH_LIMIT ? -ELOOP : -errno;
    }
  int error = 0;
  for (const struct dirent *entry; error == 0 && (entry = readdir (entries)) != NULL;)
    if (strcmp (entry->d_name, ".") != 0 && strcmp (entry->d_name, "..") != 0)
      error = copy_entry (from, to, entry->d_name, depth);
  closedir (entries);
  return error;
}

int
copy_content (int from, int to)
{
  int own = fcntl (from, F_DUPFD_CLOEXEC, 3);
  return own < 0 ? -errno : copy_directory (own, to, 0);
}
