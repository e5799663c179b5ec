/* What some file systems can do: project quotas of ext4 and xfs, subvolumes of Btrfs. */
#include "lib.h"
#include <linux/btrfs.h>
#include <linux/dqblk_xfs.h>
#include <linux/fs.h>
#include <linux/quota.h>
#include <sys/ioctl.h>
#include <sys/quota.h>
#include <sys/syscall.h>

#ifndef PRJQUOTA
#define PRJQUOTA 2
#endif

/* Blocks of a quota are of this size, whatever the file system's are. Source: quotactl(2), struct dqblk. */
#define QUOTA_BLOCK 1024

/* Gives the empty directory at PATH a project of its own, of which what is made in it will be, and the project a limit. The project's number is
 * the directory's inode: no other directory has it as long as this one lives. */
int
bosun_limit_size (const char *directory, uint64_t bytes)
{
  struct stat info;
  struct fsxattr attributes;
  cleanup_close int fd = open (directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0 || fstat (fd, &info) < 0 || ioctl (fd, FS_IOC_FSGETXATTR, &attributes) < 0)
    return -errno;
  uint32_t project = (uint32_t) info.st_ino;
  struct dqblk quota = { .dqb_bhardlimit = (bytes + QUOTA_BLOCK - 1) / QUOTA_BLOCK, .dqb_valid = QIF_BLIMITS };
  if (syscall (SYS_quotactl_fd, fd, QCMD (Q_SETQUOTA, PRJQUOTA), project, &quota) < 0)
    return -errno;
  attributes.fsx_projid = project;
  attributes.fsx_xflags |= FS_XFLAG_PROJINHERIT;
  return checked (ioctl (fd, FS_IOC_FSSETXATTR, &attributes));
}

static int
named (struct btrfs_ioctl_vol_args_v2 *args, const char *name)
{
  size_t length = strlen (name);
  if (length > BTRFS_SUBVOL_NAME_MAX)
    return -ENAMETOOLONG;
  memcpy (args->name, name, length + 1);
  return 0;
}

/* Makes an empty subvolume NAME in DIRECTORY. */
int
bosun_subvolume (const char *directory, const char *name)
{
  struct btrfs_ioctl_vol_args_v2 args = { 0 };
  cleanup_close int fd = open (directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0)
    return -errno;
  int error = named (&args, name);
  return error < 0 ? error : checked (ioctl (fd, BTRFS_IOC_SUBVOL_CREATE_V2, &args));
}

/* Makes a writable snapshot NAME in DIRECTORY of the subvolume at SOURCE. */
int
bosun_snapshot (const char *source, const char *directory, const char *name)
{
  struct btrfs_ioctl_vol_args_v2 args = { 0 };
  cleanup_close int from = open (source, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  cleanup_close int fd = open (directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (from < 0 || fd < 0)
    return -errno;
  args.fd = from;
  int error = named (&args, name);
  return error < 0 ? error : checked (ioctl (fd, BTRFS_IOC_SNAP_CREATE_V2, &args));
}

/* Lets the subvolume at PATH have only so many bytes that it shares with no other. Turns the file system's quotas on first, if they are off. */
int
bosun_limit_subvolume (const char *path, uint64_t bytes)
{
  struct btrfs_ioctl_quota_ctl_args on = { .cmd = BTRFS_QUOTA_CTL_ENABLE };
  struct btrfs_ioctl_qgroup_limit_args limit = { .lim = { .flags = BTRFS_QGROUP_LIMIT_MAX_EXCL, .max_excl = bytes } };
  cleanup_close int fd = open (path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0 || (ioctl (fd, BTRFS_IOC_QUOTA_CTL, &on) < 0 && errno != EEXIST))
    return -errno;
  return checked (ioctl (fd, BTRFS_IOC_QGROUP_LIMIT, &limit));
}
