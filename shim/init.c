/* docker-init: the first process of a container that was started with --init. It starts the command in a group of its own, passes
 * signals on, reaps whatever ends, and ends as the command does. */
#include "sys.h"
#include "shim.h"
#include <sys/ioctl.h>
#include <sys/wait.h>

static pid_t
start_command (char **argv, const sigset_t *before)
{
  pid_t pid = fork ();
  if (pid != 0)
    return pid;
  /* In the foreground of the terminal, if there is one: else reading from it would stop the command. */
  setpgid (0, 0);
  signal (SIGTTOU, SIG_IGN);
  tcsetpgrp (0, getpid ());
  signal (SIGTTOU, SIG_DFL);
  sigprocmask (SIG_SETMASK, before, NULL);
  execvp (argv[0], argv);
  int error = errno;
  dprintf (2, "docker-init: exec %s: %s\n", argv[0], strerror (error));
  _exit (error == ENOENT ? 127 : 126);
}

/* Reaps all that have ended. @return the command's exit code when it was among them, else -1 */
static int
reap (pid_t command)
{
  int status, code = -1;
  for (pid_t pid; (pid = waitpid (-1, &status, WNOHANG)) > 0;)
    if (pid == command)
      code = WIFSIGNALED (status) ? 128 + WTERMSIG (status) : WEXITSTATUS (status);
  return code;
}

int
init_main (char **argv)
{
  sigset_t all, before;
  prctl (PR_SET_NAME, "docker-init");
  if (argv[0] != NULL && strcmp (argv[0], "--") == 0)
    argv++;
  if (argv[0] == NULL)
    return 2;
  sigfillset (&all);
  for (const int *own = (const int[]){ SIGFPE, SIGILL, SIGSEGV, SIGBUS, SIGABRT, SIGTRAP, SIGSYS, SIGTTIN, SIGTTOU, 0 }; *own; own++)
    sigdelset (&all, *own);
  sigprocmask (SIG_SETMASK, &all, &before);
  pid_t command = start_command (argv, &before);
  if (command < 0)
    return 126;
  for (;;)
    {
      int number = sigwaitinfo (&all, NULL);
      if (number == SIGCHLD)
        {
          int code = reap (command);
          if (code >= 0)
            return code;
        }
      else if (number > 0)
        kill (command, number);
    }
}
