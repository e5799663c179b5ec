/* Removes a tree, which may be hostile, as deep as it likes, and may change meanwhile. Names are only ever looked up one at a time, below a
 * descriptor; no symlink is followed and no mount entered, so nothing outside of the tree can go. There is no recursion, and a bounded number
 * of descriptors: what is too deep is moved up to the root of the tree, where it is found when that is read again. */
#include "lib-entries.h"
#include <dirent.h>
#include <linux/fs.h>

#define MOST_LEVELS 64
#define ENTRY_BYTES 16384
/* A file with more than this takes the disk a while, 512-byte blocks. */
#define LARGE_BLOCKS 8192

struct level
{
  int dir;
  /* Entries read and not looked at yet; the last that was is at LAST. */
  size_t at, end, last;
  /* Whether this pass over the directory has taken anything out of it, and whether anything has to stay. */
  bool progress, stuck;
  _Alignas (struct entry) char entries[ENTRY_BYTES];
};

struct removal
{
  /* The first level is the directory that the tree is in, with the tree's name for its only entry. */
  int depth;
  /* Entries that may still go, or -1 for any number; then large files may, too. */
  int64_t budget;
  /* The first thing that went wrong. Other entries go nevertheless. */
  int error;
  uint32_t moved;
  struct level levels[MOST_LEVELS];
};

/* A name that is no longer there is what was wanted. */
static int
unless_gone (int error)
{
  return error == -ENOENT ? 0 : error;
}

static void
note (struct removal *removal, struct level *level, int error)
{
  level->stuck = true;
  if (removal->error == 0)
    removal->error = error;
}

/* Opens a directory of this file system's. -ENOTDIR or -ELOOP when it is none, -EXDEV when something is mounted on it. */
static int
open_directory (int dir, const char *name)
{
  uint64_t resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV;
  return checked (openat2 (dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC, 0, resolve));
}

static void
push (struct removal *removal, int dir)
{
  struct level *level = &removal->levels[removal->depth++];
  level->dir = dir;
  level->at = level->end = level->last = 0;
  level->progress = level->stuck = false;
}

static struct entry *
entry_of (struct level *level)
{
  return (struct entry *) (level->entries + level->last);
}

static const char *
name_of (struct level *level)
{
  return entry_of (level)->name;
}

/* The next name in the directory. Returns 1, or 0 at its end. */
static int
next_entry (struct level *level)
{
  do
    {
      if (level->at == level->end)
        {
          int bytes = entries_read (level->dir, level->entries, sizeof level->entries);
          if (bytes <= 0)
            return bytes;
          level->at = 0;
          level->end = (size_t) bytes;
        }
      level->last = level->at;
      level->at += entry_of (level)->bytes;
    }
  while (is_dots (name_of (level)));
  return 1;
}

/* Moves a directory up to the tree's root, under a name that nothing has there. */
static int
hoist (struct removal *removal, struct level *level)
{
  struct level *top = &removal->levels[1];
  char name[32];
  int error;
  do
    {
      snprintf (name, sizeof name, "rm-%u", removal->moved++);
      error = checked ((int) syscall (SYS_renameat2, level->dir, name_of (level), top->dir, name, RENAME_NOREPLACE));
    }
  while (error == -EEXIST);
  if (error == 0)
    top->progress = true;
  return error;
}

/* Whether the entry has to wait for a call without a budget. */
static bool
is_beyond (struct removal *removal, struct level *level)
{
  struct stat info;
  if (removal->budget < 0)
    return false;
  if (removal->budget == 0)
    return true;
  removal->budget--;
  return fstatat (level->dir, name_of (level), &info, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG (info.st_mode)
         && info.st_blocks > LARGE_BLOCKS;
}

static int
remove_directory (struct removal *removal, struct level *level)
{
  const char *name = name_of (level);
  int error = unless_gone (checked (unlinkat (level->dir, name, AT_REMOVEDIR)));
  if (error != -ENOTEMPTY && error != -EEXIST)
    return error;
  if (removal->depth == MOST_LEVELS)
    return unless_gone (hoist (removal, level));
  int dir = open_directory (level->dir, name);
  if (dir < 0)
    return unless_gone (dir);
  push (removal, dir);
  return 0;
}

/* Removes an entry, or goes into it. Returns 1 when the budget is used up. */
static int
visit (struct removal *removal, struct level *level)
{
  int depth = removal->depth;
  if (is_beyond (removal, level))
    return 1;
  bool known = entry_of (level)->type == DT_DIR;
  int error = known ? -EISDIR : unless_gone (checked (unlinkat (level->dir, name_of (level), 0)));
  if (error == -EISDIR)
    error = remove_directory (removal, level);
  if (error < 0)
    note (removal, level, error);
  else if (removal->depth == depth)
    level->progress = true;
  return 0;
}

/* Reads the directory again, since some of what is in it came, or was moved there, after it had been read. */
static int
rewind_level (struct level *level)
{
  level->progress = level->stuck = false;
  level->at = level->end = 0;
  return lseek (level->dir, 0, SEEK_SET) < 0 ? -errno : 0;
}

/* The directory was read to its end. As long as each reading gets further it is read until it is empty. */
static void
leave (struct removal *removal, struct level *level)
{
  struct level *parent = level - 1;
  int error = unless_gone (checked (unlinkat (parent->dir, name_of (parent), AT_REMOVEDIR)));
  if (error == -ENOTEMPTY && level->progress && rewind_level (level) == 0)
    return;
  close (level->dir);
  removal->depth--;
  if (error == 0)
    parent->progress = true;
  else if (level->stuck)
    parent->stuck = true;
  else
    note (removal, parent, error);
}

/* Returns 1 when the budget is used up. */
static int
step (struct removal *removal)
{
  struct level *level = &removal->levels[removal->depth - 1];
  int found = unless_gone (next_entry (level));
  if (found > 0)
    return visit (removal, level);
  if (found < 0)
    note (removal, level, found);
  leave (removal, level);
  return 0;
}

/* Removes NAME, whatever it is, from DIRECTORY, a path that is trusted. What is not there is removed already.
 * MOST: so many entries at most, none of them large, for callers who cannot wait; 0 for all of it.
 * Returns 0 when it is gone, 1 when there is more to do; -EBUSY when something is mounted in it. All that can go is gone then. */
int
bosun_remove (const char *directory, const char *name, uint32_t most)
{
  if (strlen (name) > NAME_MAX)
    return -ENAMETOOLONG;
  int dir = checked (open (directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (dir < 0)
    return unless_gone (dir);
  cleanup_free struct removal *removal = malloc (sizeof *removal);
  if (removal == NULL)
    {
      close (dir);
      return -ENOMEM;
    }
  removal->depth = removal->error = 0;
  removal->moved = 0;
  removal->budget = most == 0 ? -1 : (int64_t) most;
  push (removal, dir);
  struct level *outer = &removal->levels[0];
  entry_of (outer)->type = DT_UNKNOWN;
  strcpy (entry_of (outer)->name, name);
  int more = visit (removal, outer);
  while (more == 0 && removal->depth > 1)
    more = step (removal);
  while (removal->depth > 0)
    close (removal->levels[--removal->depth].dir);
  return more > 0 ? 1 : outer->stuck ? removal->error : 0;
}
