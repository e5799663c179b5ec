/* Mounts of the host's side: layers that are looked into, and taken away. */
#include "lib.h"
#include <pthread.h>

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

/* A copy of the mount at PATH, links followed, that is attached nowhere, with those below it when RECURSIVE; private.
 * Returns a descriptor: its root. */
int
bosun_open_tree (const char *path, int recursive)
{
  struct mount_attr private = { .propagation = MS_PRIVATE };
  unsigned int deep = recursive ? AT_RECURSIVE : 0;
  int fd = open_tree (AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | deep);
  if (fd < 0)
    return -errno;
  int error = checked (mount_setattr (fd, "", AT_EMPTY_PATH | deep, &private, sizeof private));
  if (error == 0)
    return fd;
  close (fd);
  return error;
}

/* Sets ATTRIBUTES (MOUNT_ATTR_*) of an open mount and those below it. */
int
bosun_restrict_mount (int mount, uint64_t attributes)
{
  struct mount_attr wanted = { .attr_set = attributes };
  if (attributes & MOUNT_ATTR__ATIME)
    wanted.attr_clr = MOUNT_ATTR__ATIME;
  return checked (mount_setattr (mount, "", AT_EMPTY_PATH | AT_RECURSIVE, &wanted, sizeof wanted));
}

/* Attaches what one of these opened. */
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
