/* A directory's names, in an order that does not depend on the file system. */
#include "lib-entries.h"
#include "lib-tree.h"

/* Room for MORE items of SIZE bytes beyond USED. */
static int
grow (void **items, size_t size, size_t used, size_t more, size_t *room)
{
  if (used + more <= *room)
    return 0;
  size_t wanted = (used + more) * 2;
  void *moved = realloc (*items, wanted * size);
  if (moved == NULL)
    return -ENOMEM;
  *items = moved;
  *room = wanted;
  return 0;
}

int
names_add (struct names *names, const char *name, enum mark mark)
{
  size_t length = strlen (name) + 1;
  if (names->used + length >= UINT32_MAX)
    return -E2BIG;
  void *text = names->text, *at = names->at;
  int error = grow (&text, 1, names->used, length + 1, &names->room);
  names->text = text;
  if (error == 0)
    error = grow (&at, sizeof *names->at, names->count, 1, &names->places);
  names->at = at;
  if (error < 0)
    return error;
  names->at[names->count++] = (uint32_t) names->used;
  names->text[names->used] = (char) mark;
  memcpy (names->text + names->used + 1, name, length);
  names->used += length + 1;
  return 0;
}

int
names_read (struct names *names, int dir, enum mark mark)
{
  _Alignas (struct entry) char buffer[32768];
  for (;;)
    {
      int size = entries_read (dir, buffer, sizeof buffer);
      if (size <= 0)
        return size;
      for (int at = 0; at < size;)
        {
          const struct entry *entry = (const struct entry *) (buffer + at);
          int error = is_dots (entry->name) ? 0 : names_add (names, entry->name, mark);
          if (error < 0)
            return error;
          at += entry->bytes;
        }
    }
}

static int
compare (const void *one, const void *other, void *text)
{
  const char *base = text;
  return strcmp (base + *(const uint32_t *) one + 1, base + *(const uint32_t *) other + 1);
}

void
names_sort (struct names *names)
{
  size_t kept = 0;
  if (names->count > 1)
    qsort_r (names->at, names->count, sizeof *names->at, compare, names->text);
  for (size_t i = 0; i < names->count; i++)
    if (kept > 0 && strcmp (name_at (names, kept - 1), name_at (names, i)) == 0)
      names->text[names->at[kept - 1]] |= names->text[names->at[i]];
    else
      names->at[kept++] = names->at[i];
  names->count = kept;
}

void
names_free (struct names *names)
{
  free (names->text);
  free (names->at);
}
