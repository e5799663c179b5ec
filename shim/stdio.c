/* The container's stdio: its output to the log and to every client, their input to it. */
#include "watch.h"

bool
is_blocked (const struct watch *watch)
{
  size_t limit = CLIENT_LIMIT + (watch->phase == EXITED ? GRACE_SIZE : 0);
  for (const struct client *client = watch->clients; client != NULL; client = client->next)
    if (queue_size (&client->out) >= limit)
      return true;
  return false;
}

static void
end_output (struct watch *watch, int stream)
{
  if (watch->in == watch->out[stream])
    watch->in = -1;
  close_fd (&watch->out[stream]);
}

void
read_output (struct watch *watch, int stream)
{
  if (watch->chunk == NULL && (watch->chunk = malloc (CHUNK_SIZE)) == NULL)
    return;
  ssize_t size = read (watch->out[stream], watch->chunk, CHUNK_SIZE);
  if (size < 0 && (errno == EAGAIN || errno == EINTR))
    return;
  if (size <= 0)
    {
      end_output (watch, stream); /* a terminal ends with EIO */
      return;
    }
  if (watch->run->log != NULL)
    log_write (watch->run->log, stream, watch->chunk, (size_t) size);
  for (struct client *client = watch->clients; client != NULL; client = client->next)
    if (client->role == ROLE_ATTACH && !client->gone)
      client_output (client, stream, !is_pty (watch), watch->chunk, (size_t) size);
}

void
write_input (struct watch *watch)
{
  while (watch->in >= 0 && queue_size (&watch->input) > 0)
    {
      ssize_t done = write (watch->in, watch->input.data + watch->input.start, queue_size (&watch->input));
      if (done < 0 && (errno == EAGAIN || errno == EINTR))
        return;
      if (done < 0 && is_pty (watch))
        watch->in = -1; /* the same descriptor as the output's */
      else if (done < 0)
        close_fd (&watch->in);
      else
        queue_take (&watch->input, (size_t) done);
    }
  if (watch->in < 0)
    queue_take (&watch->input, queue_size (&watch->input));
  else if (watch->in_ending && !is_pty (watch))
    close_fd (&watch->in);
}
