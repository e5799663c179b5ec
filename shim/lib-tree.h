/* What the files of the tree reader share: lib-names.c lists directories, lib-record.c describes an entry, lib-walk.c goes
 * through a tree, lib-pour.c copies contents between the headers of a tar. */
#pragma once
#include "lib.h"
#include <stddef.h>

/* Names of one directory, sorted by bytes. Each lies in TEXT as a byte of marks, then the name and its NUL. */
struct names
{
  char *text;
  uint32_t *at;
  size_t used, room, count, places;
};

enum mark { IN_TREE = 1, IN_BASE = 2 };

/* Adds the names of DIR to NAMES, marked MARK. */
int names_read (struct names *names, int dir, enum mark mark);
/* Adds one name. */
int names_add (struct names *names, const char *name, enum mark mark);
/* Sorts, and makes one of a name that was added with both marks. */
void names_sort (struct names *names);
void names_free (struct names *names);

static inline const char *
name_at (const struct names *names, size_t index)
{
  return names->text + names->at[index] + 1;
}

static inline bool
is_marked (const struct names *names, size_t index, enum mark mark)
{
  return ((unsigned int) names->text[names->at[index]] & mark) != 0;
}

/* As drawn in wasm/walk-record.ts. */
struct record
{
  uint32_t bytes;
  uint8_t kind, flags;
  uint16_t name_bytes;
  uint32_t mode, uid, gid, mtime_ns;
  int64_t mtime;
  uint64_t size, inode;
  uint32_t device_major, device_minor, rdev_major, rdev_minor;
  uint32_t links, target_bytes, xattrs, unused;
  char text[];
};

_Static_assert (offsetof (struct record, text) == 80, "as drawn in wasm/walk-record.ts");

enum kind { ENTER = 1, LEAVE, LEAF, OLD };
enum flag { OPAQUE = 1, ALONE = 2 };

/* Where records are written. */
struct room
{
  char *at, *end;
};

static inline bool
fits (const struct room *room, size_t bytes)
{
  return bytes <= (size_t) (room->end - room->at);
}

/* Room for the names of one entry's attributes; the kernel has no more. */
#define XATTR_NAMES 65536

/* Adds a record about NAME in DIR. An empty NAME is DIR itself. KEYS: XATTR_NAMES bytes to work with.
 * Returns -E2BIG when the room is too small. ROOM is only changed by a success. */
int record_put (struct room *room, enum kind kind, int dir, const char *name, char *keys, struct record **out);
