#include "overlay.h"
#include <stdarg.h>
#include <sys/mount.h>

const char *const overlay_off[3] = { "index", "metacopy", "redirect_dir" };

/* All that mount(2) takes, and as many layers as the kernel stacks. */
enum { TEXT_SIZE = 4096, LOWER_MAX = 500 };

struct text
{
  char bytes[TEXT_SIZE];
  size_t length;
  int fds[LOWER_MAX + 2];
  int opened;
};

__attribute__ ((format (printf, 2, 3))) static int
append (struct text *text, const char *format, ...)
{
  va_list arguments;
  va_start (arguments, format);
  int size = vsnprintf (text->bytes + text->length, sizeof text->bytes - text->length, format, arguments);
  va_end (arguments);
  if (size < 0 || (size_t) size >= sizeof text->bytes - text->length)
    return -E2BIG;
  text->length += (size_t) size;
  return 0;
}

/* A descriptor stands for the path, which may be long, or have the letters that part options. */
static int
append_directory (struct text *text, const char *before, const char *path)
{
  int fd = open (path, O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0)
    return -errno;
  text->fds[text->opened++] = fd;
  return append (text, "%s/proc/self/fd/%d", before, fd);
}

static int
describe (struct text *text, const struct overlay *overlay)
{
  int error = overlay->count > LOWER_MAX ? -E2BIG : 0;
  for (int i = 0; error == 0 && i < overlay->count; i++)
    error = append_directory (text, i == 0 ? "lowerdir=" : ":", overlay->lower[i]);
  if (error == 0 && overlay->upper[0] != '\0')
    error = append_directory (text, ",upperdir=", overlay->upper);
  if (error == 0 && overlay->upper[0] != '\0')
    error = append_directory (text, ",workdir=", overlay->work);
  for (int i = 0; error == 0 && i < lengthof (overlay_off); i++)
    error = append (text, ",%s=off", overlay_off[i]);
  return error;
}

int
overlay_mount (const struct overlay *overlay, const char *target)
{
  struct text text = { .length = 0 };
  int error = describe (&text, overlay);
  if (error == 0)
    error = checked (mount ("overlay", target, "overlay", overlay->upper[0] == '\0' ? MS_RDONLY : 0, text.bytes));
  while (text.opened > 0)
    close (text.fds[--text.opened]);
  return error;
}
