/* What is not known here, asked elsewhere: servers one after the other, each some hundred milliseconds after the one before or at once when that
 * has failed; the first good answer wins. However many there are, each has its turn while the client is patient. */
#include "net-upstream.h"

enum { MOST_PENDING = 256, STAGGER_MS = 400, TURNS_MS = 3000, AGAIN_MS = 1500, PATIENCE_MS = 4500 };

static struct pending *pending[MOST_PENDING];
static int pending_count;

static void attempt_next (struct pending *one);

static void
pending_free (int index)
{
  struct pending *one = pending[index];
  for (int i = 0; i < MOST_SERVERS; i++)
    attempt_end (one->attempts + i);
  free (one->message);
  free (one);
  pending[index] = pending[--pending_count];
}

static int
index_of (const struct pending *one)
{
  int index = 0;
  while (pending[index] != one)
    index++;
  return index;
}

/* Freed when the loop is idle: its sources may be told of still. */
static struct pending *finished[MOST_PENDING];
static int finished_count;

static void
bury (void)
{
  while (finished_count > 0)
    pending_free (index_of (finished[--finished_count]));
}

void
pending_finish (struct pending *one, uint8_t *message, size_t size)
{
  if (one->end_ms == 0)
    return;
  names_reply (&one->client, &one->query, message, size);
  one->end_ms = 0; /* answered */
  for (int i = 0; i < MOST_SERVERS; i++)
    attempt_end (one->attempts + i);
  finished[finished_count++] = one;
}

static void
give_up (struct pending *one)
{
  uint8_t bytes[PLAIN_ROOM];
  struct reply reply = { .bytes = bytes, .room = sizeof bytes };
  reply_begin (&reply, one->message, &one->query, one->refusal != 0 ? one->refusal : SERVFAIL);
  reply_end (&reply, &one->query);
  pending_finish (one, reply.bytes, reply.size);
}

void
pending_failed (struct attempt *attempt)
{
  struct pending *one = attempt->pending;
  attempt_end (attempt);
  if (one->tried < one->count)
    return attempt_next (one);
  for (int i = 0; i < one->tried; i++)
    if (one->attempts[i].live)
      return;
  give_up (one);
}

static int
stagger_ms (const struct pending *one)
{
  int share = TURNS_MS / one->count;
  return share < STAGGER_MS ? share : STAGGER_MS;
}

static void
attempt_next (struct pending *one)
{
  while (one->tried < one->count)
    {
      struct attempt *attempt = one->attempts + one->tried++;
      one->next_ms = now_ms () + (one->tried < one->count ? stagger_ms (one) : AGAIN_MS);
      if (attempt_begin (attempt, one, &attempt->server) == 0)
        return;
      attempt_end (attempt);
    }
  for (int i = 0; i < one->tried; i++)
    if (one->attempts[i].live)
      return;
  give_up (one);
}

bool
pending_answered (const union address *from, uint8_t *message, size_t size)
{
  for (int i = 0; i < pending_count; i++)
    for (int j = 0; j < pending[i]->tried; j++)
      {
        struct attempt *attempt = pending[i]->attempts + j;
        if (attempt->live && !attempt->over_stream && attempt->server.of_host && server_same (&attempt->server.address, from)
            && attempt_answered (attempt, message, size))
          return true;
      }
  return false;
}

static bool
is_known (const struct client *client)
{
  for (int i = 0; i < pending_count; i++)
    {
      const struct client *other = &pending[i]->client;
      if (pending[i]->end_ms != 0 && other->connection == client->connection && other->id == client->id
          && (client->connection != NULL || server_same (&other->address, &client->address)))
        return true;
    }
  return false;
}

bool
upstream_ask (const struct client *client, const struct query *query, const uint8_t *message, size_t size)
{
  const struct server *servers;
  if (is_known (client))
    return true; /* asks again what is being asked */
  int count = zone_servers (&servers);
  struct pending *one = pending_count < MOST_PENDING ? calloc (1, sizeof *one) : NULL;
  if (one == NULL || (one->message = malloc (size)) == NULL)
    {
      free (one);
      return false;
    }
  *one = (struct pending){ .client = *client, .query = *query, .message = one->message, .size = size, .count = count };
  memcpy (one->message, message, size);
  one->end_ms = now_ms () + PATIENCE_MS;
  for (int i = 0; i < count; i++)
    one->attempts[i].server = servers[i];
  pending[pending_count++] = one;
  names_wake ();
  attempt_next (one);
  return true;
}

void
upstream_forget (const struct connection *connection)
{
  for (int i = 0; i < pending_count; i++)
    if (pending[i]->end_ms != 0 && pending[i]->client.connection == connection)
      {
        pending[i]->end_ms = 0;
        for (int j = 0; j < MOST_SERVERS; j++)
          attempt_end (pending[i]->attempts + j);
        finished[finished_count++] = pending[i];
      }
}

void
upstream_tick (void)
{
  int64_t now = now_ms ();
  for (int i = 0; i < pending_count; i++)
    {
      struct pending *one = pending[i];
      if (one->end_ms == 0)
        continue;
      if (now >= one->end_ms)
        give_up (one);
      else if (now >= one->next_ms && one->tried < one->count)
        attempt_next (one);
      else if (now >= one->next_ms)
        {
          one->next_ms = now + AGAIN_MS;
          for (int j = 0; j < one->tried; j++)
            attempt_again (one->attempts + j);
        }
    }
}

bool
upstream_busy (void)
{
  return pending_count > finished_count;
}

int
upstream_open (void)
{
  loop_idle = bury;
  return attempts_open ();
}
