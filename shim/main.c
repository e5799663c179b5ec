/* bosun-shim: performs a plan, then stays as the container's parent. All of it: PROTOCOL.md. */
#include "shim.h"
#include <malloc.h>
#include <sys/ioctl.h>

static int
usage (void)
{
  static const char text[] = "usage: bosun-shim run <rundir> | plan | inherit <rundir> <kept> <stay> | init -- <command> [argument…]\n";
  (void) !write (2, text, sizeof text - 1);
  return 2;
}

static int
report_failure (const struct failure *failure, const char *detail)
{
  dprintf (1, "fail %d %d %s\n", failure->index, failure->error, detail);
  return 1;
}

/* A daemon's fate must not be the container's: no terminal, no group, no file of the daemon, no signal meant for it. */
static void
detach (void)
{
  static const int ignored[] = { SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGPIPE, SIGUSR1, SIGUSR2, SIGTSTP, SIGTTIN, SIGTTOU };
  for (int i = 0; i < lengthof (ignored); i++)
    signal (ignored[i], SIG_IGN);
  close_range (3, ~0U, 0);
  while (fcntl (2, F_GETFD) < 0 && open ("/dev/null", O_RDWR) >= 0)
    ; /* 0-2 stay taken, whatever the daemon left open */
  setsid ();
  prctl (PR_SET_NAME, "bosun-shim");
  umask (0);
  mallopt (M_MMAP_THRESHOLD, 16 * 1024); /* what is freed goes back to the kernel */
}

static struct run
new_run (void)
{
  return (struct run){ .root = -1, .channel = -1, .listener = -1, .console = -1, .umask = 0022, .home = "/" };
}

/* bosun-shim plan: operations without a process of their own. */
static int
plan_main (void)
{
  struct run run = new_run ();
  struct plan plan = { 0 };
  struct failure failure = { 0 };
  detach ();
  int error = plan_read (0, &plan, &failure, run.detail, sizeof run.detail);
  if (error == 0 && plan.clone >= 0)
    {
      failure.index = plan.clone;
      error = -EINVAL;
    }
  if (error == 0)
    error = plan_perform (&run, &plan, 0, plan.count, &failure.index);
  failure.error = -error;
  if (error < 0)
    return report_failure (&failure, run.detail);
  (void) !write (1, "done\n", 5);
  return 0;
}

/* bosun-shim run RUNDIR */
static int
run_main (const char *path)
{
  struct run run = new_run ();
  struct plan plan = { 0 };
  struct failure failure = { 0 };
  struct child child = { .pid = -1 };
  detach ();
  struct rundir dir = { .fd = open (path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), .path = path };
  if (dir.fd < 0)
    {
      failure = (struct failure){ .index = INT_MAX, .error = errno }; /* none of the plan's operations */
      return report_failure (&failure, "the run directory");
    }
  int error = plan_read (0, &plan, &failure, run.detail, sizeof run.detail);
  if (error == 0 && plan.clone < 0)
    {
      explain (&run, "the plan has no clone");
      error = -EINVAL;
    }
  if (error == 0)
    error = plan_perform (&run, &plan, 0, plan.clone, &failure.index);
  if (error == 0)
    {
      failure.index = plan.clone;
      error = spawn (&run, &plan, &child);
    }
  failure.error = -error;
  if (error < 0)
    return report_failure (&failure, run.detail);
  return watch (&run, &plan, &child, &dir);
}

int
main (int argc, char **argv)
{
  const char *name = argc > 0 ? strrchr (argv[0], '/') : NULL;
  if (name != NULL && strcmp (name, "/docker-init") == 0)
    return init_main (argv + 1);
  if (argc >= 3 && strcmp (argv[1], "init") == 0)
    return init_main (argv + 2);
  if (argc == 3 && strcmp (argv[1], "run") == 0)
    return run_main (argv[2]);
  if (argc == 2 && strcmp (argv[1], "plan") == 0)
    return plan_main ();
  if (argc == 5 && strcmp (argv[1], "inherit") == 0)
    return inherit_main (argv);
  return usage ();
}
