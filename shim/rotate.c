/* Rotation of a log by renaming: NAME → NAME.1 → NAME.2 … Older files may be compressed, NAME.1.gz; who does that is the daemon, after the
 * fact. It puts its file in the place of ours under the lock of the folder that both lie in, so that no number ever means two texts. */
#include "shim.h"
#include <libgen.h>
#include <sys/file.h>

static const char *const FORMS[] = { "", ".gz" };

/* @return the lock's descriptor; -1 when it cannot be had at all: rotating then is better than a log that grows for ever;
 * -EWOULDBLOCK while another holds it */
static int
lock_folder (const char *path)
{
  char copy[PATH_MAX];
  if (strlen (path) >= sizeof copy)
    return -1;
  int fd = open (dirname (strcpy (copy, path)), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0 || flock (fd, LOCK_EX | LOCK_NB) == 0)
    return fd < 0 ? -1 : fd;
  int error = errno;
  close (fd);
  return error == EWOULDBLOCK ? -EWOULDBLOCK : -1;
}

/* NUMBER 0 is the current file, which has one form. */
static void
name_of (char name[PATH_MAX + 16], const char *path, int number, const char *form)
{
  if (number == 0)
    snprintf (name, PATH_MAX + 16, "%s%s", path, form);
  else
    snprintf (name, PATH_MAX + 16, "%s.%d%s", path, number, form);
}

/* Makes room for a new file at PATH, COUNT in all. Never waits. @return 0, or -EWOULDBLOCK when another time is better */
int
rotate_files (const char *path, int count)
{
  char from[PATH_MAX + 16], to[PATH_MAX + 16];
  if (count < 2)
    return 0;
  int lock = lock_folder (path);
  if (lock == -EWOULDBLOCK)
    return lock;
  for (int form = 0; form < 2; form++)
    {
      name_of (to, path, count - 1, FORMS[form]);
      unlink (to);
    }
  for (int i = count - 1; i > 0; i--)
    for (int form = 0; form < (i > 1 ? 2 : 1); form++)
      {
        name_of (from, path, i - 1, FORMS[form]);
        name_of (to, path, i, FORMS[form]);
        rename (from, to);
      }
  if (lock >= 0)
    close (lock);
  return 0;
}
