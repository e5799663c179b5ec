/* A tar, poured from items that the layer engine wrote: the bytes of a header, then a file's contents. Many small files cost one call. The
 * tree may change meanwhile, and a tar's header promises a size: a file that has shrunk is filled up with zeros, as GNU tar does it, and one
 * that has vanished or become something else is left out, header and all. */
#include "lib-tree.h"

#define BLOCK 512

/* As drawn in wasm/tar-item.ts. */
struct item
{
  uint32_t bytes, head_bytes;
  uint64_t size, inode;
  uint32_t path_bytes, unused;
  char path[];
};

_Static_assert (offsetof (struct item, path) == 32, "as drawn in wasm/tar-item.ts");

struct pour
{
  int root, file;
  uint64_t at;   /* the present item */
  uint64_t done; /* bytes of it that are poured */
};

/* Opens the item's file. Returns 1 when it is no longer there. */
static int
open_file (struct pour *pour, const struct item *item)
{
  struct stat info;
  uint64_t flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;
  int fd = openat2 (pour->root, item->path, flags, 0, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS);
  if (fd < 0)
    return errno == ENOENT || errno == ENOTDIR || errno == ELOOP || errno == ENXIO ? 1 : -errno;
  if (fstat (fd, &info) < 0 || !S_ISREG (info.st_mode) || info.st_ino != item->inode)
    {
      close (fd);
      return 1;
    }
  pour->file = fd;
  return 0;
}

static void
end_item (struct pour *pour, const struct item *item)
{
  if (pour->file >= 0)
    close (pour->file);
  pour->file = -1;
  pour->at += item->bytes;
  pour->done = 0;
}

/* The next bytes of the item, at most SIZE. */
static int64_t
pour_some (struct pour *pour, const struct item *item, char *out, uint64_t size, uint64_t total)
{
  uint64_t contents = item->head_bytes + item->size;
  uint64_t end = pour->done < item->head_bytes ? item->head_bytes : pour->done < contents ? contents : total;
  uint64_t step = end - pour->done < size ? end - pour->done : size;
  if (pour->done < item->head_bytes)
    {
      const char *head = item->path + ((item->path_bytes + 8u) & ~7u);
      memcpy (out, head + pour->done, step);
      return (int64_t) step;
    }
  ssize_t got = pour->done >= contents ? 0 : pread (pour->file, out, step, (off_t) (pour->done - item->head_bytes));
  if (got != 0)
    return got < 0 ? -errno : got;
  memset (out, 0, step);
  return (int64_t) step;
}

/* Writes the next bytes of the tar, at most SIZE, at OUT. Returns their number; when that is less than SIZE, all LENGTH bytes of ITEMS
 * are poured, and the next call begins with others. Call it with the same ones until then. */
int64_t
bosun_pour (int64_t handle, const char *items, uint64_t length, char *out, uint64_t size)
{
  struct pour *pour = (struct pour *) (intptr_t) handle;
  uint64_t written = 0;
  while (pour->at < length && written < size)
    {
      const struct item *item = (const struct item *) (items + pour->at);
      uint64_t total = item->head_bytes + ((item->size + BLOCK - 1) & ~(uint64_t) (BLOCK - 1));
      int gone = pour->done == 0 && item->size > 0 ? open_file (pour, item) : 0;
      if (gone < 0)
        return gone;
      int64_t step = gone ? 0 : pour_some (pour, item, out + written, size - written, total);
      if (step < 0)
        return step;
      written += (uint64_t) step;
      pour->done += (uint64_t) step;
      if (gone || pour->done == total)
        end_item (pour, item);
    }
  if (written < size)
    pour->at = 0;
  return (int64_t) written;
}

/* Begins to pour from the files below the directory ROOT, a path that is trusted. */
int64_t
bosun_pour_open (const char *root)
{
  struct pour *pour = malloc (sizeof *pour);
  if (pour == NULL)
    return -ENOMEM;
  *pour = (struct pour) { .root = open (root, O_PATH | O_DIRECTORY | O_CLOEXEC), .file = -1 };
  if (pour->root >= 0)
    return (intptr_t) pour;
  int error = -errno;
  free (pour);
  return error;
}

void
bosun_pour_close (int64_t handle)
{
  struct pour *pour = (struct pour *) (intptr_t) handle;
  if (pour->file >= 0)
    close (pour->file);
  close (pour->root);
  free (pour);
}
