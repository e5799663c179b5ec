/* Mounts of the host's side: layers that are looked into, and taken away. */
#include "lib.h"
#include "overlay.h"
#include <pthread.h>
#include <sched.h>

struct view
{
  struct overlay overlay;
  int result;
};

/* Mounted in a namespace of the thread's own, which goes with it, for mount(2) mounts nothing that is attached nowhere. */
static void *
open_view (void *argument)
{
  struct view *view = argument;
  const char *target = view->overlay.lower[0];
  view->result = unshare (CLONE_NEWNS) < 0 ? -errno : checked (mount (NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
  if (view->result == 0)
    view->result = overlay_mount (&view->overlay, target);
  if (view->result == 0)
    view->result = checked (open_tree (AT_FDCWD, target, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC));
  return NULL;
}

/* Opens a read-only overlay of the layers among OPTIONS, for kernels that take no layer at a time. */
static int
open_old_overlay (const char *options)
{
  static const char layer[] = "lowerdir+=";
  char *lower[512];
  struct view view = { .overlay = { .lower = lower, .upper = "", .work = "" } };
  pthread_t thread;
  for (const char *option = options; *option != '\0'; option += strlen (option) + 1)
    if (strncmp (option, layer, sizeof layer - 1) == 0)
      {
        if (view.overlay.count == lengthof (lower))
          return -E2BIG;
        lower[view.overlay.count++] = (char *) option + sizeof layer - 1;
      }
  int error = view.overlay.count == 0 ? EINVAL : pthread_create (&thread, NULL, open_view, &view);
  if (error != 0)
    return -error;
  pthread_join (thread, NULL);
  return view.result;
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
  if (fsconfig (context, FSCONFIG_CMD_CREATE, NULL, NULL, 0) == 0)
    return checked (fsmount (context, FSMOUNT_CLOEXEC, 0));
  return errno == EINVAL && strcmp (type, "overlay") == 0 ? open_old_overlay (options) : -errno;
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
