/* Words to operations. The whole plan is read and checked before anything of it is done. */
#include "shim.h"
#include <stdarg.h>

enum { PLAN_LIMIT = 16 << 20, EITHER = IN_PARENT | IN_CHILD };

static const struct operation operations[] = {
  { "layer", op_layer, 3, 3, IN_PARENT },
  { "umount", op_umount, 1, 1, EITHER },
  { "stdio", op_stdio, 3, 3, IN_PARENT },
  { "log", op_log, 3, 5, IN_PARENT },
  { "join", op_join, 2, 2, EITHER },
  { "clone", op_clone, 1, 2, IN_PARENT },
  { "cgroup", op_cgroup, 1, 1, EITHER },
  { "unshare", op_unshare, 1, 1, IN_CHILD },
  { "session", op_session, 0, 0, IN_CHILD },
  { "hostname", op_hostname, 1, 1, IN_CHILD },
  { "domainname", op_domainname, 1, 1, IN_CHILD },
  { "propagation", op_propagation, 1, 2, EITHER },
  { "overlay", op_overlay, 4, -1, EITHER },
  { "bind", op_bind, 5, 8, EITHER },
  { "share", op_share, 3, 3, IN_CHILD },
  { "mount", op_mount, 5, 6, EITHER },
  { "attributes", op_attributes, 4, 4, EITHER },
  { "root", op_root, 1, 1, IN_CHILD },
  { "mkdir", op_mkdir, 2, 2, EITHER },
  { "file", op_file, 2, 2, EITHER },
  { "mknod", op_mknod, 6, 6, IN_CHILD },
  { "symlink", op_symlink, 2, 2, IN_CHILD },
  { "mask", op_mask, 1, 1, IN_CHILD },
  { "readonly", op_readonly, 1, 1, IN_CHILD },
  { "console", op_console, 1, 3, IN_CHILD },
  { "console-socket", op_console_socket, 1, 1, IN_PARENT },
  { "runtime", op_runtime, 2, -1, IN_PARENT },
  { "identity", op_identity, 4, -1, IN_CHILD },
  { "map", op_map, 2, 2, IN_PARENT },
  { "hook", op_hook, 6, -1, IN_CHILD },
  { "label", op_label, 2, 2, IN_CHILD },
  { "pivot", op_pivot, 0, 1, IN_CHILD },
  { "remount-ro-root", op_remount_ro_root, 0, 0, IN_CHILD },
  { "sysctl", op_sysctl, 2, 2, EITHER },
  { "loopback", op_loopback, 0, 0, IN_CHILD },
  { "rlimit", op_rlimit, 3, 3, EITHER },
  { "oom-score", op_oom_score, 1, 1, EITHER },
  { "io-priority", op_io_priority, 2, 2, IN_CHILD },
  { "scheduler", op_scheduler, 7, 7, IN_CHILD },
  { "personality", op_personality, 1, 1, IN_CHILD },
  { "no-new-privs", op_no_new_privs, 0, 0, IN_CHILD },
  { "caps", op_caps, 5, 5, IN_CHILD },
  { "seccomp", op_seccomp, 2, 2, IN_CHILD },
  { "user", op_user, 1, -1, IN_CHILD },
  { "umask", op_umask, 1, 1, IN_CHILD },
  { "cwd", op_cwd, 2, 2, IN_CHILD },
  { "env", op_env, 0, -1, IN_CHILD },
  { "wait", op_wait, 0, 0, IN_CHILD },
  { "find", op_find, 1, 1, IN_CHILD },
  { "park", op_park, 0, 0, IN_CHILD },
  { "exec", op_exec, 1, -1, IN_CHILD },
};

void
explain (struct run *run, const char *format, ...)
{
  va_list arguments;
  va_start (arguments, format);
  vsnprintf (run->detail, sizeof run->detail, format, arguments);
  va_end (arguments);
}

static const struct operation *
find_operation (const char *name)
{
  for (int i = 0; i < lengthof (operations); i++)
    if (strcmp (operations[i].name, name) == 0)
      return &operations[i];
  return NULL;
}

/* The word at *AT, which then points behind it; NULL when it is not all there. */
static char *
next_word (struct plan *plan, size_t *at)
{
  char *word = plan->text + *at;
  char *end = memchr (word, '\0', plan->used - *at);
  if (end == NULL)
    return NULL;
  *at = (size_t) (end - plan->text) + 1;
  return word;
}

/* Walks over the plan; fills words and ops when they are there, else counts them.
 * -EAGAIN when the text ends before the plan does, -EINVAL when a count is no number. */
static int
walk (struct plan *plan, int *words)
{
  size_t at = 0;
  plan->count = 0;
  *words = 0;
  for (;;)
    {
      char *name = next_word (plan, &at);
      if (name == NULL)
        return -EAGAIN;
      plan->end = at;
      if (*name == '\0')
        return 0;
      uint64_t argc;
      char *count = next_word (plan, &at);
      if (count == NULL)
        return -EAGAIN;
      if (parse_number (count, PLAN_LIMIT, &argc) < 0)
        return -EINVAL;
      if (plan->ops != NULL)
        plan->ops[plan->count] = (struct op){ find_operation (name), (int) argc, plan->words + *words };
      plan->count++;
      for (uint64_t i = 0; i < argc; i++, (*words)++)
        {
          char *word = next_word (plan, &at);
          if (word == NULL)
            return -EAGAIN;
          if (plan->words != NULL)
            plan->words[*words] = word;
        }
      if (plan->words != NULL)
        plan->words[*words] = NULL;
      (*words)++;
    }
}

static int
read_text (int fd, struct plan *plan, int *words)
{
  size_t room = 0;
  for (;;)
    {
      if (plan->used == room)
        {
          room = room == 0 ? 64 << 10 : room * 2;
          char *text = room > PLAN_LIMIT ? NULL : realloc (plan->text, room);
          if (text == NULL)
            return room > PLAN_LIMIT ? -E2BIG : -ENOMEM;
          plan->text = text;
        }
      ssize_t got = read (fd, plan->text + plan->used, room - plan->used);
      if (got < 0 && errno == EINTR)
        continue;
      if (got <= 0)
        return got < 0 ? -errno : -EPIPE;
      plan->used += (size_t) got;
      int result = walk (plan, words);
      if (result != -EAGAIN)
        return result;
    }
}

/* Names, numbers of arguments and sides. */
static int
check_op (const struct plan *plan, int index, char *detail, size_t size)
{
  const struct op *op = &plan->ops[index];
  if (op->operation == NULL)
    {
      snprintf (detail, size, "unknown operation");
      return -ENOSYS;
    }
  if (op->argc < op->operation->least || (op->operation->most >= 0 && op->argc > op->operation->most))
    {
      snprintf (detail, size, "%s with %d arguments", op->operation->name, op->argc);
      return -EINVAL;
    }
  if ((op->operation->where & (plan->clone >= 0 && index > plan->clone ? IN_CHILD : IN_PARENT)) == 0)
    {
      snprintf (detail, size, "%s on the wrong side of clone", op->operation->name);
      return -EINVAL;
    }
  return 0;
}

int
plan_read (int fd, struct plan *plan, struct failure *failure, char *detail, size_t size)
{
  int words;
  int error = read_text (fd, plan, &words);
  if (error < 0)
    {
      snprintf (detail, size, "the plan cannot be read");
      return error;
    }
  plan->words = calloc ((size_t) words + 1, sizeof *plan->words);
  plan->ops = calloc ((size_t) plan->count + 1, sizeof *plan->ops);
  if (plan->words == NULL || plan->ops == NULL)
    return -ENOMEM;
  walk (plan, &words);
  plan->clone = -1;
  for (int i = 0; i < plan->count; i++)
    {
      failure->index = i;
      error = check_op (plan, i, detail, size);
      if (error < 0)
        return error;
      if (plan->ops[i].operation->perform == op_clone)
        plan->clone = i;
    }
  failure->index = 0;
  return 0;
}

void
plan_free (struct plan *plan)
{
  free (plan->text);
  free (plan->words);
  free (plan->ops);
  *plan = (struct plan){ .clone = -1 };
}

int
plan_perform (struct run *run, const struct plan *plan, int from, int to, int *at)
{
  for (*at = from; *at < to; ++*at)
    {
      const struct op *op = &plan->ops[*at];
      run->detail[0] = '\0';
      int error = op->operation->perform (run, op->argc, op->argv);
      if (error < 0)
        return error;
    }
  return 0;
}
