/* Directories as the kernel lists them. */
#pragma once
#include "lib.h"

/* Source: getdents64(2). */
struct entry
{
  uint64_t inode;
  int64_t offset;
  uint16_t bytes;
  uint8_t type;
  char name[];
};

static inline bool
is_dots (const char *name)
{
  return name[0] == '.' && (name[1] == '\0' || (name[1] == '.' && name[2] == '\0'));
}

/* The next entries of DIR, aligned as struct entry. Returns their bytes, 0 at the end. */
static inline int
entries_read (int dir, char *out, size_t size)
{
  return checked ((int) syscall (SYS_getdents64, dir, out, size));
}
