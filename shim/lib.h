/* libbosun.so: system calls that the daemon makes itself and Bun has no function for; src/base/library.ts loads it.
 *
 * One convention: a function returns 0 or more, or -errno. A pointer is read or written during the call only. Texts end with NUL; paths and
 * names are bytes of any kind. Every call blocks its thread, and may be made from several at once. */
#pragma once
#include "sys.h"

#define EXPORT __attribute__ ((visibility ("default")))

/* lib-files.c */
EXPORT int bosun_memfd (const char *path);
EXPORT int bosun_lock (const char *path);
EXPORT int bosun_lock_directory (const char *path);
EXPORT int bosun_statfs (const char *path, uint64_t out[7]);
EXPORT int64_t bosun_get_xattr (const char *path, const char *name, void *value, uint64_t size);
EXPORT int64_t bosun_list_xattrs (const char *path, void *names, uint64_t size);

/* lib-disk.c */
EXPORT int bosun_limit_size (const char *directory, uint64_t bytes);
EXPORT int bosun_subvolume (const char *directory, const char *name);
EXPORT int bosun_snapshot (const char *source, const char *directory, const char *name);
EXPORT int bosun_limit_subvolume (const char *path, uint64_t bytes);

/* lib-mounts.c */
EXPORT int bosun_open_mount (const char *type, const char *options);
EXPORT int bosun_open_tree (const char *path, int recursive);
EXPORT int bosun_restrict_mount (int mount, uint64_t attributes);
EXPORT int bosun_attach (int mount, const char *target);
EXPORT int bosun_detach (const char *target);

/* lib-paths.c */
EXPORT int bosun_open_in_root (const char *root, const char *path, int flags);

/* lib-place.c */
EXPORT int bosun_place (int dir, const char *name, int kind, const char *target, const int64_t *attributes, int keep);
EXPORT int bosun_place_file (int dir, const char *name, const int64_t *attributes, const char *xattrs, uint64_t length,
                             const char *data, uint64_t size, int keep);
EXPORT int bosun_place_attributes (int fd, const int64_t *attributes, const char *xattrs, uint64_t length);
EXPORT int bosun_place_link (int from, const char *goal, int dir, const char *name, int keep);

/* lib-code.c */
EXPORT int bosun_unmap_code (void);

/* lib-processes.c */
EXPORT int bosun_pidfd_open (int pid);
EXPORT int bosun_pidfd_kill (int pidfd, int signal);
EXPORT int bosun_device_filter (const char *cgroup, const void *code, uint64_t size);

/* lib-exhaustion.c */
EXPORT int bosun_watch_exhaustion (const char *directory);

/* lib-netlink.c */
EXPORT int64_t bosun_netlink (int protocol, int netns_pid, const void *request, uint64_t size, void *out, uint64_t room);
EXPORT int bosun_set_sysctl (int netns_pid, const char *path, const char *value);
EXPORT int bosun_netlink_watch (int protocol, uint32_t groups);

/* lib-extract.c */
EXPORT int bosun_extract (const char *root, const char *tar, const char *steps, uint64_t length, uint64_t *failed);

/* lib-walk.c */
EXPORT int64_t bosun_walk_open (const char *root, const char *base, const char *only, int whole);
EXPORT int64_t bosun_walk_next (int64_t walk, char *out, uint64_t size);
EXPORT void bosun_walk_close (int64_t walk);

/* lib-remove.c */
EXPORT int bosun_remove (const char *directory, const char *name, uint32_t most);

/* lib-pour.c */
EXPORT int64_t bosun_pour_open (const char *root);
EXPORT int64_t bosun_pour (int64_t pour, const char *items, uint64_t length, char *out, uint64_t size);
EXPORT void bosun_pour_close (int64_t pour);

/* lib-datagrams.c */
EXPORT int bosun_datagrams_open (const char *path);
EXPORT int bosun_datagrams_send (int fd, const void *data, size_t size);
