/* user SPEC [EXTRA-GROUP…]: Docker's `user[:group]`, each by name or number, from the container's own /etc/passwd and /etc/group.
 * What names nobody there is an error; a number needs no entry. Messages as Docker's, which people search for. */
#include "shim.h"
#include <grp.h>
#include <sys/sysmacros.h>

enum { LINE_LIMIT = 64 << 10, GROUP_LIMIT = 1024, ID_LIMIT = INT32_MAX };

struct identity
{
  uid_t uid;
  gid_t gid;
  char name[256]; /* empty: no entry in /etc/passwd */
  gid_t groups[GROUP_LIMIT];
  int group_count;
};

/* A file of the image: it may be missing, and need not be a file. NULL then. */
static FILE *
open_table (int root, const char *path)
{
  struct stat info;
  int fd = path_open (root, path, O_RDONLY | O_NONBLOCK, 0);
  if (fd < 0)
    return NULL;
  FILE *file = fstat (fd, &info) == 0 && S_ISREG (info.st_mode) ? fdopen (fd, "r") : NULL;
  if (file == NULL)
    close (fd);
  return file;
}

/* Cuts a line at its colons into exactly COUNT fields, the missing ones empty. */
static void
split_fields (char *line, char **fields, int count)
{
  line[strcspn (line, "\n")] = '\0';
  for (int i = 0; i < count; i++)
    {
      char *field = line == NULL ? NULL : strsep (&line, ":");
      fields[i] = field == NULL ? (char[]){ "" } : field;
    }
}

static bool
is_id (const char *text, uint64_t *id)
{
  return parse_number (text, UINT32_MAX, id) == 0;
}

static bool
matches (const char *wanted, const char *name, uint64_t number)
{
  uint64_t id;
  return strcmp (wanted, name) == 0 || (is_id (wanted, &id) && id == number);
}

/* The first entry that is WANTED by name or number. */
static bool
find_user (struct run *run, const char *wanted, struct identity *who)
{
  cleanup_free char *line = malloc (LINE_LIMIT);
  FILE *file = open_table (run->root, "/etc/passwd");
  char *fields[7];
  bool found = false;
  while (file != NULL && line != NULL && !found && fgets (line, LINE_LIMIT, file) != NULL)
    {
      uint64_t uid, gid;
      split_fields (line, fields, lengthof (fields));
      if (fields[0][0] == '\0' || !is_id (fields[2], &uid) || !is_id (fields[3], &gid) || !matches (wanted, fields[0], uid))
        continue;
      found = true;
      who->uid = (uid_t) uid;
      who->gid = (gid_t) gid;
      snprintf (who->name, sizeof who->name, "%s", fields[0]);
      snprintf (run->home, sizeof run->home, "%s", fields[5]);
    }
  if (file != NULL)
    fclose (file);
  return found;
}

static bool
add_group (struct identity *who, gid_t gid)
{
  for (int i = 0; i < who->group_count; i++)
    if (who->groups[i] == gid)
      return true;
  if (who->group_count == GROUP_LIMIT)
    return false;
  who->groups[who->group_count++] = gid;
  return true;
}

static bool
is_member (char *members, const char *name)
{
  for (char *rest = members, *member; (member = strsep (&rest, ",")) != NULL;)
    if (strcmp (member, name) == 0)
      return true;
  return false;
}

/* With WANTED: the first group that is it, into *GID. Without: every group that lists the user, into who->groups. */
static bool
find_group (struct run *run, const char *wanted, struct identity *who, gid_t *gid)
{
  cleanup_free char *line = malloc (LINE_LIMIT);
  FILE *file = open_table (run->root, "/etc/group");
  char *fields[4];
  bool found = false;
  while (file != NULL && line != NULL && !found && fgets (line, LINE_LIMIT, file) != NULL)
    {
      uint64_t number;
      split_fields (line, fields, lengthof (fields));
      if (fields[0][0] == '\0' || !is_id (fields[2], &number))
        continue;
      if (wanted == NULL && is_member (fields[3], who->name))
        add_group (who, (gid_t) number);
      found = wanted != NULL && matches (wanted, fields[0], number);
      if (found)
        *gid = (gid_t) number;
    }
  if (file != NULL)
    fclose (file);
  return found;
}

/* A group by name, or by a number that needs no entry. */
static int
resolve_group (struct run *run, const char *wanted, struct identity *who, gid_t *gid)
{
  uint64_t number;
  if (find_group (run, wanted, who, gid))
    return 0;
  if (!is_id (wanted, &number))
    {
      explain (run, "unable to find group %s: no matching entries in group file", wanted);
      return -EINVAL;
    }
  *gid = (gid_t) number;
  return 0;
}

static int
resolve_user (struct run *run, const char *wanted, struct identity *who)
{
  uint64_t number;
  if (find_user (run, *wanted == '\0' ? "0" : wanted, who) || *wanted == '\0')
    return 0;
  if (!is_id (wanted, &number))
    {
      explain (run, "unable to find user %s: no matching entries in passwd file", wanted);
      return -EINVAL;
    }
  who->uid = (uid_t) number;
  return 0;
}

static int
resolve (struct run *run, char *spec, char **extra, struct identity *who)
{
  char *user = strsep (&spec, ":");
  int error = resolve_user (run, user, who);
  if (error == 0 && spec != NULL && *spec != '\0')
    error = resolve_group (run, spec, who, &who->gid);
  else if (error == 0 && who->name[0] != '\0')
    find_group (run, NULL, who, NULL);
  add_group (who, who->gid);
  for (; error == 0 && *extra != NULL; extra++)
    {
      gid_t gid = 0;
      error = resolve_group (run, *extra, who, &gid);
      if (error == 0 && (gid > ID_LIMIT || !add_group (who, gid)))
        error = -ERANGE;
    }
  if (error == 0 && (who->uid > ID_LIMIT || who->gid > ID_LIMIT))
    error = -ERANGE;
  if (error == -ERANGE)
    explain (run, "uids and gids must be in range 0-2147483647");
  return error == -ERANGE ? -EINVAL : error;
}

/* identity FILE SPEC BEFORE AFTER [GROUP…]: writes who SPEC is, with what is to stand before and after it, for a runtime that takes numbers. */
int
op_identity (struct run *run, int, char **argv)
{
  cleanup_free struct identity *who = calloc (1, sizeof *who);
  if (who == NULL)
    return -ENOMEM;
  int error = resolve (run, argv[1], argv + 4, who);
  cleanup_close int fd = error < 0 ? error : open (argv[0], O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd < 0)
    return error < 0 ? error : -errno;
  int size = dprintf (fd, "%s{\"uid\":%u,\"gid\":%u,\"additionalGids\":[", argv[2], who->uid, who->gid);
  for (int i = 0; size >= 0 && i < who->group_count; i++)
    size = dprintf (fd, "%s%u", i == 0 ? "" : ",", who->groups[i]);
  if (size >= 0)
    size = dprintf (fd, "]}%s", argv[3]);
  return size < 0 ? -errno : 0;
}

/* A program opens /dev/stdout and its like by name, which asks for permission again. */
static int
own_stdio (uid_t uid)
{
  struct stat info;
  for (int fd = 0; fd < 3; fd++)
    {
      if (fstat (fd, &info) < 0)
        return -errno;
      bool shared = S_ISCHR (info.st_mode) && info.st_rdev == makedev (1, 3); /* /dev/null is everybody's */
      if (info.st_uid == uid || shared || fchown (fd, uid, info.st_gid) == 0)
        continue;
      if (errno != EPERM && errno != EROFS && errno != EINVAL) /* EINVAL: whose it is has no name in this user namespace */
        return -errno;
    }
  return 0;
}

int
op_user (struct run *run, int, char **argv)
{
  cleanup_free struct identity *who = calloc (1, sizeof *who);
  if (who == NULL)
    return -ENOMEM;
  int error = resolve (run, argv[0], argv + 1, who);
  if (error == 0)
    error = own_stdio (who->uid);
  if (error == 0)
    error = keep_capabilities ();
  if (error < 0)
    return error;
  if (setgroups ((size_t) who->group_count, who->groups) < 0 || setresgid (who->gid, who->gid, who->gid) < 0
      || setresuid (who->uid, who->uid, who->uid) < 0)
    return -errno;
  return raise_capabilities ();
}
