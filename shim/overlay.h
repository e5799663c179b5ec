/* Overlays by mount(2), for kernels before 6.8: their fsconfig(2) takes no layer at a time, and no value of more than 256 bytes. */
#pragma once
#include "sys.h"

struct overlay
{
  /* The top one first. */
  char **lower;
  int count;
  /* Empty for a read-only one. */
  const char *upper, *work;
};

/* The options that every overlay has, all "off": what would keep the upper directory from being read by itself, later and elsewhere
 * (an inode index, metadata-only copies, redirects). */
extern const char *const overlay_off[3];

/* Mounts it at TARGET. */
int overlay_mount (const struct overlay *overlay, const char *target);
