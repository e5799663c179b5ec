/* Docker's json-file log: one JSON object a line, {"log":"text\n","stream":"stdout","time":"RFC 3339, nanoseconds"}. Lines of more than
 * 16 KiB come in parts, of which only the last ends in \n. Source: moby, daemon/logger, copier.go and jsonfilelog. */
#include "shim.h"
#include <time.h>

enum { PART_LIMIT = 16 << 10, BATCH_SIZE = 64 << 10 };

struct line
{
  char *part;         /* the beginning of a line whose end has not come */
  size_t size;
  bool continued;     /* parts of this line are in the log already … */
  struct timespec at; /* … since then: they share a time */
};

struct log
{
  int fd;
  char *path;
  char *attributes; /* goes into every entry, as `"attrs":{…},`; may be empty */
  uint64_t max_size, size;
  int max_file;
  bool numbered;
  uint64_t entries; /* that there have been; with `numbered` each says so, as `"n":…,`: whoever reads knows what is missing */
  unsigned int changes; /* since the last flush */
  struct line lines[2]; /* stdout, stderr */
  struct queue out;     /* entries not yet written */
};

static int
open_file (struct log *log, int flags)
{
  struct stat info;
  log->fd = open (log->path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | flags, 0640);
  log->size = log->fd >= 0 && fstat (log->fd, &info) == 0 ? (uint64_t) info.st_size : 0;
  return log->fd < 0 ? -errno : 0;
}

struct log *
log_open (const char *path, uint64_t max_size, int max_file, const char *attributes, bool numbered, int *error)
{
  struct log *log = calloc (1, sizeof *log);
  *error = -ENOMEM;
  if (log == NULL || (log->path = strdup (path)) == NULL || (log->attributes = strdup (attributes)) == NULL)
    return NULL;
  log->max_size = max_size;
  log->max_file = max_file;
  log->numbered = numbered;
  *error = open_file (log, 0);
  return log;
}

/* Takes back the TORN bytes of an entry whose end found no room: what is written later must not be glued to them. */
static void
mend (struct log *log, size_t torn)
{
  struct stat info;
  if (torn > 0 && fstat (log->fd, &info) == 0 && ftruncate (log->fd, info.st_size - (off_t) torn) == 0)
    log->size -= torn;
}

/* A disk that takes no more loses entries, always whole ones; it must not stop the container. */
static void
write_out (struct log *log)
{
  size_t torn = 0;
  if (log->fd < 0 && queue_size (&log->out) > 0)
    open_file (log, 0); /* a rotation found no room for a new file */
  while (queue_size (&log->out) > 0)
    {
      const char *data = log->out.data + log->out.start;
      ssize_t done = log->fd < 0 ? -1 : write (log->fd, data, queue_size (&log->out));
      if (done < 0 && log->fd >= 0 && errno == EINTR)
        continue;
      log->changes |= LOG_GROWN;
      if (done <= 0)
        {
          mend (log, torn);
          queue_take (&log->out, queue_size (&log->out));
          return;
        }
      const char *end = memrchr (data, '\n', (size_t) done);
      torn = end == NULL ? torn + (size_t) done : (size_t) (data + done - end) - 1;
      log->size += (size_t) done;
      queue_take (&log->out, (size_t) done);
    }
}

/* With one file the old text is dropped. A disk that is full may keep us from a new file: see write_out. */
static void
rotate (struct log *log)
{
  write_out (log);
  if (rotate_files (log->path, log->max_file) < 0)
    return; /* with the next entry, then */
  if (log->fd >= 0)
    close (log->fd);
  open_file (log, O_TRUNC);
  log->changes |= LOG_GROWN | LOG_ROTATED;
}

/* @return the length of the UTF-8 sequence at TEXT, 0 when it is none. Source: RFC 3629, section 4. */
static size_t
utf8_length (const unsigned char *text, size_t size)
{
  unsigned char first = text[0];
  size_t length = first >= 0xc2 && first <= 0xdf ? 2 : (first & 0xf0) == 0xe0 ? 3 : first >= 0xf0 && first <= 0xf4 ? 4 : 0;
  if (length == 0 || size < length)
    return 0;
  unsigned char low = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
  unsigned char high = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
  if (text[1] < low || text[1] > high)
    return 0;
  for (size_t i = 2; i < length; i++)
    if ((text[i] & 0xc0) != 0x80)
      return 0;
  return length;
}

/* How many bytes at TEXT stand for themselves in JSON. */
static size_t
plain_length (const unsigned char *text, size_t size)
{
  size_t at = 0;
  while (at < size)
    {
      unsigned char c = text[at];
      if (c < 0x20 || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&')
        break;
      size_t length = c < 0x80 ? 1 : utf8_length (text + at, size - at);
      /* U+2028 and U+2029 end lines in JavaScript */
      if (length == 0 || (c == 0xe2 && text[at + 1] == 0x80 && (text[at + 2] | 1) == 0xa9))
        break;
      at += length;
    }
  return at;
}

static void
add_json (struct queue *out, const unsigned char *text, size_t size)
{
  while (size > 0)
    {
      char escape[8];
      size_t length = plain_length (text, size);
      queue_add (out, text, length);
      text += length;
      size -= length;
      if (size == 0)
        return;
      length = 1;
      if (*text == '"' || *text == '\\')
        snprintf (escape, sizeof escape, "\\%c", *text);
      else if (*text == '\n' || *text == '\r')
        snprintf (escape, sizeof escape, "\\%c", *text == '\n' ? 'n' : 'r');
      else if (*text < 0x80)
        snprintf (escape, sizeof escape, "\\u%04x", *text);
      else if (utf8_length (text, size) == 3)
        {
          snprintf (escape, sizeof escape, "\\u20%02x", text[2] & 0x3f);
          length = 3;
        }
      else
        snprintf (escape, sizeof escape, "\\ufffd");
      queue_add (out, escape, strlen (escape));
      text += length;
      size -= length;
    }
}

/* As Go's RFC3339Nano: no zeros at the end of the fraction, and no fraction of zero. */
static int
format_time (char *text, size_t size, const struct timespec *at)
{
  struct tm tm;
  gmtime_r (&at->tv_sec, &tm);
  int length = (int) strftime (text, size, "%Y-%m-%dT%H:%M:%S", &tm);
  if (at->tv_nsec > 0)
    {
      length += snprintf (text + length, size - (size_t) length, ".%09ld", at->tv_nsec);
      while (text[length - 1] == '0')
        length--;
    }
  return length + snprintf (text + length, size - (size_t) length, "Z");
}

static void
add_entry (struct log *log, int stream, const char *text, size_t size, bool newline, const struct timespec *at)
{
  char tail[128], time[64];
  format_time (time, sizeof time, at);
  if (log->max_size > 0 && log->size + queue_size (&log->out) >= log->max_size)
    rotate (log);
  queue_add (&log->out, "{\"log\":\"", 8);
  add_json (&log->out, (const unsigned char *) text, size);
  int length = snprintf (tail, sizeof tail, "%s\",\"stream\":\"%s\",", newline ? "\\n" : "", stream == 1 ? "stdout" : "stderr");
  queue_add (&log->out, tail, (size_t) length);
  queue_add (&log->out, log->attributes, strlen (log->attributes));
  log->entries++;
  if (log->numbered)
    {
      length = snprintf (tail, sizeof tail, "\"n\":%llu,", (unsigned long long) log->entries);
      queue_add (&log->out, tail, (size_t) length);
    }
  length = snprintf (tail, sizeof tail, "\"time\":\"%s\"}\n", time);
  queue_add (&log->out, tail, (size_t) length);
  if (queue_size (&log->out) >= BATCH_SIZE)
    write_out (log);
}

/* Keeps DATA until the line's end comes. @return false when there is no memory, and DATA is lost */
static bool
keep (struct line *line, const char *data, size_t size)
{
  if (line->part == NULL && (line->part = malloc (PART_LIMIT)) == NULL)
    return false;
  memcpy (line->part + line->size, data, size);
  line->size += size;
  return true;
}

/* Ends what is gathered of LINE, DATA behind it, with one entry. */
static void
end_part (struct log *log, int stream, const char *data, size_t size, bool newline, const struct timespec *now)
{
  struct line *line = &log->lines[stream - 1];
  if (!line->continued)
    line->at = *now;
  if (line->size == 0)
    add_entry (log, stream, data, size, newline, &line->at);
  else if (keep (line, data, size))
    add_entry (log, stream, line->part, line->size, newline, &line->at);
  line->size = 0;
  line->continued = !newline;
}

/* STREAM is 1 or 2. */
void
log_write (struct log *log, int stream, const char *data, size_t size)
{
  struct line *line = &log->lines[stream - 1];
  struct timespec now;
  clock_gettime (CLOCK_REALTIME, &now);
  while (size > 0)
    {
      size_t room = PART_LIMIT - line->size;
      size_t look = size < room ? size : room;
      const char *newline = memchr (data, '\n', look);
      size_t length = newline == NULL ? look : (size_t) (newline - data);
      if (newline != NULL || length == room)
        end_part (log, stream, data, length, newline != NULL, &now);
      else
        keep (line, data, length);
      length += newline != NULL;
      data += length;
      size -= length;
    }
}

/* What came without an end is logged without one. */
void
log_end (struct log *log)
{
  struct timespec now;
  clock_gettime (CLOCK_REALTIME, &now);
  for (int stream = 1; stream <= 2; stream++)
    if (log->lines[stream - 1].size > 0)
      end_part (log, stream, "", 0, false, &now);
}

unsigned int
log_flush (struct log *log)
{
  write_out (log);
  unsigned int changes = log->changes;
  log->changes = 0;
  return changes;
}

/* Gives memory back that nothing is waiting in. */
void
log_trim (struct log *log)
{
  for (int i = 0; i < 2; i++)
    if (log->lines[i].size == 0)
      {
        free (log->lines[i].part);
        log->lines[i].part = NULL;
      }
  queue_trim (&log->out);
}
