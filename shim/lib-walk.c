/* A tree as records, in one call for thousands of entries. The tree may be hostile and may change meanwhile: names are only ever
 * looked up one at a time, below a descriptor, and no symlink is followed; what vanishes is left out.
 *
 * A tree can be read beside another, its base: each entry is then preceded by what the base has under that name. */
#include "lib-tree.h"

/* A path of 4,095 bytes has no more components. */
#define MOST_LEVELS 2048

struct level
{
  int dir, base; /* base: -1 where there is none */
  bool merged;   /* names that only the base has are told of as well */
  size_t next;
  struct names names;
};

struct tree
{
  char *only; /* the one name of the top that counts, or NULL */
  bool whole; /* the tree says everything: what only the base has is gone */
  bool started;
  int depth;
  struct level levels[MOST_LEVELS];
  char keys[XATTR_NAMES];
};

static bool
is_whiteout (const struct record *record)
{
  return S_ISCHR (record->mode) && record->rdev_major == 0 && record->rdev_minor == 0;
}

/* What the base has under NAME; an overlay's whiteout is nothing. Returns whether it is a directory. */
static int
put_old (struct tree *tree, struct room *room, const struct level *level, const char *name, bool alone)
{
  struct record *record;
  struct room before = *room;
  int error = record_put (room, OLD, level->base, name, tree->keys, &record);
  if (error < 0)
    return error == -ENOENT ? 0 : error;
  if (is_whiteout (record))
    *room = before;
  else if (alone)
    record->flags |= ALONE;
  return S_ISDIR (record->mode) ? 1 : 0;
}

static int
open_directory (int dir, const char *name)
{
  return checked (openat (dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
}

/* Goes into a directory. The descriptors are the level's from now on. */
static int
descend (struct tree *tree, int dir, int base, bool merged)
{
  struct level *level = &tree->levels[tree->depth];
  *level = (struct level) { .dir = dir, .base = base, .merged = merged };
  tree->depth++;
  if (tree->depth == 1 && tree->only != NULL)
    return names_add (&level->names, tree->only, IN_TREE);
  int error = names_read (&level->names, dir, IN_TREE);
  if (error == 0 && merged && base >= 0)
    error = names_read (&level->names, base, IN_BASE);
  names_sort (&level->names);
  return error;
}

static void
ascend (struct tree *tree)
{
  struct level *level = &tree->levels[--tree->depth];
  names_free (&level->names);
  close (level->dir);
  if (level->base >= 0)
    close (level->base);
}

static int
enter (struct tree *tree, const struct level *level, const char *name, bool has_base, bool opaque)
{
  if (tree->depth == MOST_LEVELS)
    return -ENAMETOOLONG;
  int dir = open_directory (level->dir, name);
  if (dir < 0)
    return dir;
  int base = has_base ? open_directory (level->base, name) : -1;
  if (has_base && base < 0)
    {
      close (dir);
      return base;
    }
  int error = descend (tree, dir, base, level->merged || opaque);
  if (error < 0)
    ascend (tree);
  return error;
}

static bool
is_gone (int error)
{
  return error == -ENOENT || error == -ENOTDIR || error == -ELOOP;
}

/* One name of the present directory: what the base has, then what is there. All of it or nothing is added. */
static int
visit (struct tree *tree, struct room *room)
{
  struct level *level = &tree->levels[tree->depth - 1];
  const char *name = name_at (&level->names, level->next);
  bool present = is_marked (&level->names, level->next, IN_TREE);
  struct room trial = *room;
  struct record *record;
  int old = level->base < 0 ? 0 : put_old (tree, &trial, level, name, !present);
  int error = old < 0 ? old : present ? record_put (&trial, LEAF, level->dir, name, tree->keys, &record) : 0;
  if (error == 0 && present && record->kind == ENTER)
    error = enter (tree, level, name, old == 1, (record->flags & OPAQUE) != 0);
  if (error < 0 && !is_gone (error))
    return error;
  level->next++;
  if (error == 0)
    *room = trial;
  return 0;
}

static int
leave (struct tree *tree, struct room *room)
{
  struct record *record = (struct record *) room->at;
  if (!fits (room, sizeof *record + 8))
    return -E2BIG;
  memset (record, 0, sizeof *record + 8);
  record->bytes = sizeof *record + 8;
  record->kind = LEAVE;
  room->at += record->bytes;
  ascend (tree);
  return 0;
}

static int
step (struct tree *tree, struct room *room)
{
  struct level *level = &tree->levels[tree->depth - 1];
  struct record *record;
  if (!tree->started)
    {
      int error = record_put (room, ENTER, level->dir, "", tree->keys, &record);
      tree->started = error == 0;
      return error;
    }
  return level->next < level->names.count ? visit (tree, room) : leave (tree, room);
}

/* Begins a walk of the directory ROOT, a path that is trusted. BASE: the directory beside which it is read, or "". ONLY: the one name of
 * ROOT that counts, or "". WHOLE: names that only the base has are told of everywhere, not just below opaque directories.
 * Returns a walk for the calls below; -errno when there is none. */
int64_t
bosun_walk_open (const char *root, const char *base, const char *only, int whole)
{
  cleanup_free struct tree *tree = malloc (sizeof *tree);
  if (tree == NULL)
    return -ENOMEM;
  memset (tree, 0, offsetof (struct tree, levels));
  tree->whole = whole != 0;
  tree->only = only[0] == '\0' ? NULL : strdup (only);
  int dir = checked (open (root, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  int below = base[0] == '\0' || dir < 0 ? -1 : checked (open (base, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  int error = dir < 0 ? dir : below < -1 ? below : descend (tree, dir, below, tree->whole);
  if (error == 0)
    {
      int64_t walk = (intptr_t) tree;
      tree = NULL;
      return walk;
    }
  if (tree->depth > 0)
    ascend (tree);
  else if (dir >= 0)
    close (dir);
  free (tree->only);
  return error;
}

/* Writes the next records, as many as fit in SIZE bytes at OUT. Returns their bytes, 0 at the end, -E2BIG when the next does not fit. */
int64_t
bosun_walk_next (int64_t walk, char *out, uint64_t size)
{
  struct tree *tree = (struct tree *) (intptr_t) walk;
  struct room room = { out, out + size };
  int error = 0;
  while (error == 0 && tree->depth > 0)
    error = step (tree, &room);
  int64_t written = room.at - out;
  return error < 0 && !(error == -E2BIG && written > 0) ? error : written;
}

void
bosun_walk_close (int64_t walk)
{
  struct tree *tree = (struct tree *) (intptr_t) walk;
  while (tree->depth > 0)
    ascend (tree);
  free (tree->only);
  free (tree);
}
