/* Mounts as descriptors. */
#pragma once
#include "shim.h"

/* A file system's settings on their way to a mount: fsopen(2) to fsmount(2). What the kernel says of a failure goes into run->detail. */
int set_option (struct run *run, int context, const char *key, const char *value);
/* @return a mount that is not attached yet */
int create_mount (struct run *run, int context, uint64_t attribute_mask);
/* Sets mount(2)'s FLAGS on the mount at descriptor TREE; on all below it, too, when RECURSIVE. */
int set_attributes (int tree, unsigned long flags, bool recursive);
int move_onto (int tree, int target);

/* idmap.c */
int map_ids (struct run *run, int tree, const char *uids, const char *gids);
