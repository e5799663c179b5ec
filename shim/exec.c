/* The last operations: what the program finds around it, and the program itself. */
#include "shim.h"
#include <sys/fsuid.h>
#include <sys/socket.h>

/* umask MASK, in decimal; the shim's own is 0 until the program starts. */
int
op_umask (struct run *run, int, char **argv)
{
  uint64_t mask;
  if (parse_number (argv[0], 0777, &mask) < 0)
    return -EINVAL;
  run->umask = (mode_t) mask;
  return 0;
}

/* env NAME=VALUE…: all of the program's environment; HOME is added when it lacks one. */
int
op_env (struct run *run, int, char **argv)
{
  run->env = argv;
  return 0;
}

/* cwd PATH CREATE: what is made is root's, whoever the user is. */
int
op_cwd (struct run *run, int, char **argv)
{
  bool create = strcmp (argv[1], "1") == 0;
  uid_t uid = (uid_t) setfsuid (0);
  gid_t gid = (gid_t) setfsgid (0);
  cleanup_close int fd = create ? path_make (run->root, argv[0], S_IFDIR, 0755) : path_open (run->root, argv[0], 0, 0);
  setfsgid (gid);
  setfsuid (uid); /* which takes capabilities along */
  int error = fd < 0 ? fd : checked (fchdir (fd));
  return error < 0 ? error : raise_capabilities ();
}

/* wait: stands here until the daemon says go; without a daemon there is nothing to wait for. */
int
op_wait (struct run *run, int, char **)
{
  char go;
  int error = channel_send (run, MESSAGE_READY, NULL, 0);
  if (error < 0)
    return error;
  ssize_t got;
  do
    got = read (run->channel, &go, 1);
  while (got < 0 && errno == EINTR);
  return got == 1 ? 0 : -EPIPE;
}

/* park: the parent may leave; whoever starts the program connects, says a byte, and hears of failures instead of the parent.
 * A connection that ends without one has only looked whether there is somebody. */
int
op_park (struct run *run, int, char **)
{
  if (run->listener < 0 || fcntl (run->listener, F_SETFL, 0) < 0) /* so that it blocks */
    return -EINVAL;
  int error = channel_send (run, MESSAGE_PARKED, NULL, 0);
  while (error == 0 && !run->parked)
    {
      char go;
      cleanup_close int peer = accept4 (run->listener, NULL, NULL, SOCK_CLOEXEC);
      if (peer < 0 && errno != EINTR && errno != ECONNABORTED)
        return -errno;
      if (peer < 0 || read (peer, &go, 1) != 1)
        continue;
      error = checked (dup3 (peer, run->channel, O_CLOEXEC));
      run->parked = error >= 0;
    }
  return error < 0 ? error : 0;
}

static const char *
find_variable (char **env, const char *name)
{
  size_t size = strlen (name);
  for (; *env != NULL; env++)
    if (strncmp (*env, name, size) == 0 && (*env)[size] == '=')
      return *env + size + 1;
  return NULL;
}

/* ENV, and HOME when it is missing or empty. Never freed: the program takes over. */
static char **
with_home (struct run *run)
{
  static char home[PATH_MAX + 5];
  static char *none[] = { NULL };
  char **env = run->env == NULL ? none : run->env;
  const char *given = find_variable (env, "HOME");
  if (given != NULL && *given != '\0')
    return env;
  size_t count = 0;
  while (env[count] != NULL)
    count++;
  char **result = calloc (count + 2, sizeof *result);
  if (result == NULL)
    return NULL;
  size_t kept = 0;
  for (size_t i = 0; i < count; i++)
    if (strncmp (env[i], "HOME=", 5) != 0)
      result[kept++] = env[i];
  snprintf (home, sizeof home, "HOME=%s", run->home);
  result[kept] = home;
  return result;
}

/* As Go's exec.LookPath tells: a directory is EISDIR, what may not be executed EACCES. */
static int
check_executable (const char *path)
{
  struct stat info;
  if (stat (path, &info) < 0)
    return -errno;
  if (S_ISDIR (info.st_mode))
    return -EISDIR;
  return checked (faccessat (AT_FDCWD, path, X_OK, AT_EACCESS));
}

/* NAME through the container's own PATH, into FOUND. A name with a slash is a path already. */
static int
find_program (struct run *run, const char *name, char **env, char found[PATH_MAX])
{
  if (strlen (name) >= PATH_MAX)
    return -ENAMETOOLONG;
  if (strchr (name, '/') != NULL)
    {
      strcpy (found, name);
      int error = check_executable (name);
      if (error == -ENOENT)
        explain (run, "stat %s: no such file or directory", name);
      return error;
    }
  const char *path = find_variable (env, "PATH");
  for (size_t size; path != NULL && *path != '\0'; path += size + (path[size] == ':'))
    {
      size = strcspn (path, ":");
      int length = snprintf (found, PATH_MAX, "%.*s/%s", (int) size, path, name);
      if (size > 0 && length < PATH_MAX && check_executable (found) == 0)
        return 0;
    }
  explain (run, "executable file not found in $PATH");
  return -ENOENT;
}

/* find PROGRAM: fails as `exec` would. */
int
op_find (struct run *run, int, char **argv)
{
  char path[PATH_MAX];
  char **env = with_home (run);
  return env == NULL ? -ENOMEM : find_program (run, argv[0], env, path);
}

/* exec PROGRAM ARGUMENT… */
int
op_exec (struct run *run, int, char **argv)
{
  char path[PATH_MAX];
  char **env = with_home (run);
  if (env == NULL)
    return -ENOMEM;
  int error = find_program (run, argv[0], env, path);
  if (error == 0)
    error = channel_send (run, MESSAGE_EXEC, NULL, 0);
  if (error < 0)
    return error;
  umask (run->umask);
  /* everything above stdio goes; the channel stays until the very end, to tell a failure */
  if (close_range ((unsigned int) channel_place (run) + 1, ~0U, 0) < 0)
    return -errno;
  execve (path, argv, env);
  return -errno;
}
