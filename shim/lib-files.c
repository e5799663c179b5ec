/* Files: sealed copies, locks, what a disk holds, extended attributes. */
#include "lib.h"
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/statfs.h>
#include <sys/xattr.h>

#ifndef MFD_EXEC
#define MFD_EXEC 0x0010U
#endif

/* A copy of the file at PATH that nobody can change any more: a container that gets hold of /proc/<pid>/exe of a process of ours
 * finds nothing to overwrite (CVE-2019-5736). @return its descriptor */
int
bosun_memfd (const char *path)
{
  struct stat info;
  cleanup_close int source = open (path, O_RDONLY | O_CLOEXEC);
  if (source < 0 || fstat (source, &info) < 0)
    return -errno;
  int fd = memfd_create ("bosun-shim", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_EXEC);
  if (fd < 0 && errno == EINVAL) /* before Linux 6.3 */
    fd = memfd_create ("bosun-shim", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (fd < 0)
    return -errno;
  for (off_t left = info.st_size; left > 0;)
    {
      ssize_t done = sendfile (fd, source, NULL, (size_t) left);
      if (done <= 0)
        {
          int error = done < 0 ? -errno : -EIO;
          close (fd);
          return error;
        }
      left -= done;
    }
  if (fchmod (fd, 0555) == 0 && fcntl (fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) == 0)
    return fd;
  int error = -errno;
  close (fd);
  return error;
}

static int
locked (int fd)
{
  if (fd < 0 || flock (fd, LOCK_EX | LOCK_NB) == 0)
    return checked (fd);
  int error = -errno;
  close (fd);
  return error;
}

/* Locks the file at PATH, made if missing, for this process and as long as the descriptor is open. -EWOULDBLOCK: another has it. */
int
bosun_lock (const char *path)
{
  return locked (open (path, O_RDWR | O_CREAT | O_CLOEXEC, 0600));
}

/* The same with a directory, which is not made. */
int
bosun_lock_directory (const char *path)
{
  return locked (open (path, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
}

/* statfs(2) into OUT: type, block size, blocks, free, available, inodes, free inodes. */
int
bosun_statfs (const char *path, uint64_t out[7])
{
  struct statfs info;
  if (statfs (path, &info) < 0)
    return -errno;
  uint64_t fields[] = { (uint64_t) info.f_type, (uint64_t) info.f_bsize, info.f_blocks, info.f_bfree,
                        info.f_bavail, info.f_files, info.f_ffree };
  memcpy (out, fields, sizeof fields);
  return 0;
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
