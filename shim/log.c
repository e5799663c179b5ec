/* Docker's json-file log: one JSON object a line, {"log":"text\n","stream":"stdout","time":"RFC 3339, nanoseconds"}. Lines of more than
 * 16 KiB come in parts, of which only the last ends in \n. Source: moby, daemon/logger, copier.go and jsonfilelog. */
#include "shim.h"
#include <time.h>

enum { PART_LIMIT = 16 << 10, BATCH_SIZE = 256 << 10, PAGE = 4096 };

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
  size_t attributes_size;
  uint64_t max_size, size;
  int max_file;
  bool numbered;
  uint64_t entries; /* that there have been; with `numbered` each says so, as `"n":…,`: whoever reads knows what is missing */
  unsigned int changes; /* since the last flush */
  struct line lines[2]; /* stdout, stderr */
  struct queue out;     /* entries not yet written */
  struct timespec time_of;
  char time[64]; /* time_of, as text */
  size_t time_bytes;
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
  log->attributes_size = strlen (attributes);
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

/* Gathers from where bytes lie in their pages as they will in the file's: between places that differ in that some processors copy at a third of
 * the speed. */
static void
align (const struct log *log, struct queue *empty)
{
  size_t start = (log->size - (uintptr_t) empty->data) % PAGE;
  if (start < empty->room)
    empty->start = empty->end = start;
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
  align (log, &log->out);
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

/* The time of an entry, which most share with the one before: all that came with one read. */
static void
set_time (struct log *log, const struct timespec *at)
{
  if (log->time_bytes > 0 && at->tv_sec == log->time_of.tv_sec && at->tv_nsec == log->time_of.tv_nsec)
    return;
  log->time_of = *at;
  log->time_bytes = (size_t) format_time (log->time, sizeof log->time, at);
}

static char *
put (char *out, const char *text, size_t size)
{
  memcpy (out, text, size);
  return out + size;
}

/* The parts of an entry that are not its own, and its number. */
enum { FRAME_SIZE = 128 };

/* Without memory it is lost, whole. */
static void
add_entry (struct log *log, int stream, const char *text, size_t size, bool newline, const struct timespec *at)
{
  static const char begin[] = "{\"log\":\"", out_key[] = "\",\"stream\":\"stdout\",", err_key[] = "\",\"stream\":\"stderr\",",
                    time_key[] = "\"time\":\"", end[] = "\"}\n";
  if (log->max_size > 0 && log->size + queue_size (&log->out) >= log->max_size)
    rotate (log);
  set_time (log, at);
  log->entries++;
  if (queue_reserve (&log->out, JSON_EXPANSION * size + JSON_SLACK + log->attributes_size + FRAME_SIZE + sizeof log->time) < 0)
    return;
  char *to = log->out.data + log->out.end;
  to = put (to, begin, sizeof begin - 1);
  to = json_text (to, text, size);
  to = put (to, "\\n", newline ? 2 : 0);
  to = put (to, stream == 1 ? out_key : err_key, sizeof out_key - 1);
  to = put (to, log->attributes, log->attributes_size);
  if (log->numbered)
    to += sprintf (to, "\"n\":%llu,", (unsigned long long) log->entries);
  to = put (to, time_key, sizeof time_key - 1);
  to = put (to, log->time, log->time_bytes);
  to = put (to, end, sizeof end - 1);
  log->out.end = (size_t) (to - log->out.data);
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
