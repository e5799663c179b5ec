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

bool
is_gathering (const struct watch *watch)
{
  return watch->phase != EXITED && watch->flow.resume > 0 && now_us () < watch->flow.resume;
}

/* A program that prints line by line would wake us, the daemon and the client for each. When it prints so fast that nobody can be waiting for
 * one of them, they come together. What a terminal holds is too little for that. */
static void
pace (struct watch *watch, int stream, size_t size)
{
  struct flow *flow = &watch->flow;
  int64_t now = now_us ();
  if (size == CHUNK_SIZE || is_pty (watch))
    return;
  if (now - flow->since > HASTE_US)
    {
      flow->since = now;
      flow->pieces = 0;
    }
  if (now >= flow->flood_until && ++flow->pieces == PIECES)
    {
      flow->flood_until = now + FLOOD_US;
      fcntl (watch->out[stream], F_SETPIPE_SZ, PIPE_SIZE);
    }
  if (now < flow->flood_until)
    flow->resume = now + GATHER_US;
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
  pace (watch, stream, (size_t) size);
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
