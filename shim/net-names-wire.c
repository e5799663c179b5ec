/* DNS messages: queries are read, answers of others are checked, answers of our own are written. */
#include "net-names.h"

enum { QR = 0x80, OPCODE = 0x78, TC = 0x02, RD = 0x01, RA = 0x80, AD = 0x20, CD = 0x10 };
enum { RECORD = 10 }; /* of a record after its name: type, class, TTL, length of the data */
enum { KIND_EDNS = 1, KIND_DO = 2, KIND_AD = 4, KIND_CD = 8 };

static uint8_t
lower (uint8_t byte)
{
  return byte >= 'A' && byte <= 'Z' ? (uint8_t) (byte | 0x20) : byte;
}

/* A name that is written out. @return where it ends, or -EBADMSG */
static int
plain_name (const uint8_t *message, size_t size, size_t at, struct question *out)
{
  size_t length = 0;
  for (;;)
    {
      size_t label = at < size ? message[at] : 64;
      if (label > 63 || at + 1 + label > size || length + 1 + label > NAME_ROOM - 1)
        return -EBADMSG;
      out->name[length++] = (uint8_t) label;
      for (size_t i = 1; i <= label; i++)
        out->name[length++] = lower (message[at + i]);
      at += 1 + label;
      if (label == 0)
        break;
    }
  out->size = (uint16_t) length;
  return (int) at;
}

static int
question_parse (const uint8_t *message, size_t size, struct question *out)
{
  int at = plain_name (message, size, HEADER, out);
  if (at < 0 || (size_t) at + 4 > size)
    return -EBADMSG;
  out->type = get16 (message + at);
  out->class = get16 (message + at + 2);
  return at + 4;
}

/* A name that may be compressed: each pointer leads to before whatever led to it, so that it ends. @return where it ends at AT */
static int
any_name (const uint8_t *message, size_t size, size_t at)
{
  size_t end = 0, length = 0, before = at;
  for (;;)
    {
      if (at >= size)
        return -EBADMSG;
      uint8_t label = message[at];
      if (label >= 0xc0)
        {
          if (at + 2 > size)
            return -EBADMSG;
          size_t target = get16 (message + at) & 0x3fff;
          if (end == 0)
            end = at + 2;
          if (target < HEADER || target >= before)
            return -EBADMSG;
          at = before = target;
          continue;
        }
      length += 1U + label;
      if (label > 63 || length > NAME_ROOM - 1)
        return -EBADMSG;
      at += 1U + label;
      if (label == 0)
        return (int) (end == 0 ? at : end);
    }
}

/* Names in the data of a record that may be compressed. */
static bool
data_check (const uint8_t *message, size_t end, size_t at, uint16_t type)
{
  size_t skip = type == TYPE_MX ? 2 : type == TYPE_SRV ? 6 : 0;
  int names = type == TYPE_SOA ? 2 : type == TYPE_NS || type == TYPE_CNAME || type == TYPE_PTR || skip > 0 ? 1 : 0;
  if (type == TYPE_A)
    return end - at == 4;
  if (type == TYPE_AAAA)
    return end - at == 16;
  for (at += skip; names > 0; names--)
    {
      int next = any_name (message, end, at);
      if (next < 0)
        return false;
      at = (size_t) next;
    }
  return type == TYPE_SOA ? at + 20 == end : at <= end;
}

struct record
{
  uint16_t type, class;
  size_t ttl;  /* where it stands */
  size_t next; /* where the next record begins */
};

static bool
record_parse (const uint8_t *message, size_t size, size_t at, struct record *out)
{
  int end = any_name (message, size, at);
  if (end < 0 || (size_t) end + RECORD > size)
    return false;
  *out = (struct record){ .type = get16 (message + end), .class = get16 (message + end + 2), .ttl = (size_t) end + 4 };
  size_t data = (size_t) end + RECORD;
  out->next = data + get16 (message + end + 8);
  return out->next <= size && data_check (message, out->next, data, out->type);
}

int
query_parse (const uint8_t *message, size_t size, struct query *out)
{
  struct record record;
  if (size < HEADER || message[2] & QR)
    return -EBADMSG;
  *out = (struct query){ .room = PLAIN_ROOM, .end = HEADER };
  if (message[2] & OPCODE)
    return NOTIMP;
  if (get16 (message + 4) != 1 || get16 (message + 6) != 0 || get16 (message + 8) != 0)
    return FORMERR;
  int at = question_parse (message, size, &out->question);
  if (at < 0)
    return FORMERR;
  out->end = (uint16_t) at;
  out->kind = (uint8_t) ((message[3] & AD ? KIND_AD : 0) | (message[3] & CD ? KIND_CD : 0));
  size_t next = out->end;
  for (int left = get16 (message + 10); left > 0; left--, next = record.next)
    {
      if (!record_parse (message, size, next, &record))
        return FORMERR;
      if (record.type != TYPE_OPT)
        continue;
      out->edns = true;
      out->room = record.class < PLAIN_ROOM ? PLAIN_ROOM : record.class > DATAGRAM_MOST ? DATAGRAM_MOST : record.class;
      out->kind |= (uint8_t) (KIND_EDNS | (message[record.ttl + 2] & 0x80 ? KIND_DO : 0));
    }
  return 0;
}

bool
answer_check (const uint8_t *message, size_t size, const struct question *question)
{
  struct question theirs;
  struct record record;
  if (size < HEADER || !(message[2] & QR) || message[2] & OPCODE || get16 (message + 4) != 1)
    return false;
  int at = question_parse (message, size, &theirs);
  if (at < 0 || theirs.type != question->type || theirs.class != question->class || theirs.size != question->size
      || memcmp (theirs.name, question->name, question->size) != 0)
    return false;
  size_t next = (size_t) at;
  for (int left = get16 (message + 6) + get16 (message + 8) + get16 (message + 10); left > 0; left--, next = record.next)
    if (!record_parse (message, size, next, &record))
      return false;
  return true;
}

void
answer_records (uint8_t *message, size_t size, int last, void (*each) (void *context, int section, uint16_t type, uint8_t *ttl), void *context)
{
  struct question question;
  struct record record;
  int at = question_parse (message, size, &question);
  size_t next = at < 0 ? size : (size_t) at;
  for (int section = 1; section <= last; section++)
    for (int left = get16 (message + 4 + 2 * section); left > 0; left--, next = record.next)
      {
        if (!record_parse (message, size, next, &record))
          return;
        each (context, section, record.type, message + record.ttl);
      }
}

bool
question_text (const struct question *question, char text[NAME_ROOM])
{
  size_t length = 0;
  for (size_t at = 0; question->name[at] != 0; at += 1U + question->name[at])
    {
      if (length > 0)
        text[length++] = '.';
      for (size_t i = 1; i <= question->name[at]; i++)
        {
          uint8_t byte = question->name[at + i];
          if (byte <= ' ' || byte == '.' || byte > '~')
            return false;
          text[length++] = (char) byte;
        }
    }
  text[length] = '\0';
  return length > 0;
}

/* 32 digits, the last one first, each with a dot: "1.0.…8.b.d.0.1.0.0.2.". */
static bool
nibbles (const char *text, struct in6_addr *out)
{
  *out = (struct in6_addr){ 0 };
  for (int i = 31; i >= 0; i--, text += 2)
    {
      const char *digits = "0123456789abcdef", *digit = text[0] == '\0' ? NULL : strchr (digits, text[0]);
      if (digit == NULL || text[1] != '.')
        return false;
      out->s6_addr[i / 2] |= (uint8_t) ((digit - digits) << (i % 2 == 0 ? 4 : 0));
    }
  return strcmp (text, "ip6.arpa") == 0;
}

bool
question_address (const char *text, union address *out)
{
  unsigned d, c, b, a;
  int used = 0;
  *out = (union address){ 0 };
  if (sscanf (text, "%3u.%3u.%3u.%3u.in-addr.arpa%n", &d, &c, &b, &a, &used) == 4 && used > 0 && text[used] == '\0' && (a | b | c | d) < 256)
    {
      out->v4.sin_family = AF_INET;
      out->v4.sin_addr.s_addr = htonl (a << 24 | b << 16 | c << 8 | d);
      return true;
    }
  out->v6.sin6_family = AF_INET6;
  return nibbles (text, &out->v6.sin6_addr);
}

void
reply_begin (struct reply *reply, const uint8_t *message, const struct query *query, enum rcode rcode)
{
  memcpy (reply->bytes, message, query->end);
  reply->bytes[2] = (uint8_t) (QR | (message[2] & (OPCODE | RD)));
  reply->bytes[3] = (uint8_t) (RA | rcode);
  memset (reply->bytes + 4, 0, 8);
  put16 (reply->bytes + 4, query->end > HEADER);
  reply->size = query->end;
}

/* The head of a record of the name that was asked for. @return where its SIZE bytes of data go; NULL when they do not fit */
static uint8_t *
record_begin (struct reply *reply, uint16_t type, size_t size)
{
  uint8_t *at = reply->bytes + reply->size;
  if (reply->size + 2 + RECORD + size > reply->room)
    {
      reply->bytes[2] |= TC;
      return NULL;
    }
  put16 (at, 0xc000 | HEADER);
  put16 (at + 2, type);
  put16 (at + 4, CLASS_IN);
  put32 (at + 6, TTL_S);
  put16 (at + 10, (unsigned) size);
  reply->size += 2 + RECORD + size;
  put16 (reply->bytes + 6, get16 (reply->bytes + 6) + 1U);
  return at + 2 + RECORD;
}

void
reply_address (struct reply *reply, uint16_t type, const void *address)
{
  size_t size = type == TYPE_A ? 4 : 16;
  uint8_t *data = record_begin (reply, type, size);
  if (data != NULL)
    memcpy (data, address, size);
}

bool
reply_name (struct reply *reply, const char *text)
{
  size_t length = strlen (text);
  for (const char *label = text; *label != '\0'; label += strcspn (label, ".") + (label[strcspn (label, ".")] == '.'))
    if (strcspn (label, ".") > 63)
      return false; /* nothing that could be said */
  uint8_t *data = length + 2 < NAME_ROOM ? record_begin (reply, TYPE_PTR, length + 2) : NULL;
  if (data == NULL)
    return false;
  for (;;)
    {
      size_t label = strcspn (text, ".");
      *data++ = (uint8_t) label;
      memcpy (data, text, label);
      data += label;
      if (text[label] == '\0')
        break;
      text += label + 1;
    }
  *data = 0;
  return true;
}

void
reply_end (struct reply *reply, const struct query *query)
{
  uint8_t *at = reply->bytes + reply->size;
  if (!query->edns)
    return;
  memset (at, 0, 1 + RECORD);
  put16 (at + 1, TYPE_OPT);
  put16 (at + 3, DATAGRAM_MOST);
  put16 (reply->bytes + 10, 1);
  reply->size += 1 + RECORD;
}

size_t
reply_cut (uint8_t *message, const struct query *query)
{
  message[2] |= TC;
  memset (message + 6, 0, 6);
  return query->end;
}
