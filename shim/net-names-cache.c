/* Answers of others, while they are good: a slot for each hash, and a bound for all of them together. What is put out of its slot is asked again. */
#include "net-names.h"
#include <sys/random.h>

enum { SLOTS = 1024, LARGEST = 16384, MOST_BYTES = 1 << 20, LONGEST_S = 24 * 3600, LONGEST_DENIAL_S = 300 };

struct entry
{
  struct question question;
  uint8_t kind;
  int64_t from_ms, until_ms;
  size_t size;
  uint8_t message[];
};

static struct entry *slots[SLOTS];
static size_t bytes;

/* FNV-1a from a start that nobody knows: who chooses names does not choose slots. */
static size_t
slot_of (const struct query *query)
{
  static uint64_t seed;
  if (seed == 0)
    (void) !getrandom (&seed, sizeof seed, 0);
  uint64_t hash = seed ^ query->kind ^ (uint64_t) query->question.type << 8;
  for (size_t i = 0; i < query->question.size; i++)
    hash = (hash ^ query->question.name[i]) * 0x100000001b3;
  return (hash ^ hash >> 32) % SLOTS;
}

static void
drop (size_t slot)
{
  if (slots[slot] == NULL)
    return;
  bytes -= sizeof (struct entry) + slots[slot]->size;
  free (slots[slot]);
  slots[slot] = NULL;
}

void
cache_clear (void)
{
  for (size_t slot = 0; slot < SLOTS; slot++)
    drop (slot);
}

/* How long it is good: as long as its shortest record; a denial as long as its SOA says (RFC 2308). */
struct life
{
  bool any;
  uint32_t seconds, denial;
};

static void
shorten (void *context, int section, uint16_t type, uint8_t *ttl)
{
  struct life *life = context;
  uint32_t seconds = get32 (ttl);
  if (seconds > INT32_MAX)
    seconds = 0;
  if (section == 1)
    {
      life->any = true;
      if (seconds < life->seconds)
        life->seconds = seconds;
    }
  else if (type == TYPE_SOA)
    {
      uint32_t least = get32 (ttl + 6 + get16 (ttl + 4) - 4); /* the last field of its data */
      life->denial = seconds < least ? seconds : least;
    }
}

static uint32_t
life_of (const uint8_t *message, size_t size)
{
  struct life life = { .seconds = LONGEST_S };
  answer_records ((uint8_t *) message, size, 2, shorten, &life);
  if (life.any && (message[3] & 15) == NOERROR)
    return life.seconds;
  return life.denial < LONGEST_DENIAL_S ? life.denial : LONGEST_DENIAL_S;
}

void
cache_put (const struct query *query, const uint8_t *message, size_t size)
{
  static size_t hand;
  size_t slot = slot_of (query);
  uint32_t seconds = size > LARGEST ? 0 : life_of (message, size);
  if (seconds == 0)
    return;
  drop (slot);
  while (bytes + sizeof (struct entry) + size > MOST_BYTES)
    drop (hand++ % SLOTS);
  struct entry *entry = malloc (sizeof *entry + size);
  if (entry == NULL)
    return;
  *entry = (struct entry){ .question = query->question, .kind = query->kind, .from_ms = now_ms (), .size = size };
  entry->until_ms = entry->from_ms + (int64_t) seconds * 1000;
  memcpy (entry->message, message, size);
  slots[slot] = entry;
  bytes += sizeof *entry + size;
}

static void
grow_older (void *context, int section, uint16_t type, uint8_t *ttl)
{
  uint32_t age = *(uint32_t *) context, seconds = get32 (ttl);
  (void) section;
  if (type != TYPE_OPT)
    put32 (ttl, seconds > age ? seconds - age : 0);
}

/* @return its size in OUT, of at least MESSAGE_MOST bytes; 0 when there is none */
size_t
cache_get (const struct query *query, uint8_t *out, size_t room)
{
  size_t slot = slot_of (query);
  const struct entry *entry = slots[slot];
  if (entry == NULL || entry->kind != query->kind || entry->question.type != query->question.type
      || entry->question.class != query->question.class || entry->question.size != query->question.size
      || memcmp (entry->question.name, query->question.name, query->question.size) != 0)
    return 0;
  int64_t now = now_ms ();
  if (now >= entry->until_ms || entry->size > room)
    {
      drop (slot);
      return 0;
    }
  uint32_t age = (uint32_t) ((now - entry->from_ms) / 1000);
  memcpy (out, entry->message, entry->size);
  answer_records (out, entry->size, 3, grow_older, &age);
  return entry->size;
}
