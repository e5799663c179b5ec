/* Text as it stands between the quotes of a JSON string, spelt as Go's encoder spells it. Source: RFC 8259, section 7; Go, encoding/json. */
#include "shim.h"

/* So many bytes are looked at together: GCC and Clang make a processor's vector instructions of it. */
typedef unsigned char vector __attribute__ ((vector_size (16)));
typedef uint64_t halves __attribute__ ((vector_size (16)));

_Static_assert (sizeof (vector) <= JSON_SLACK, "whole vectors are copied");

/* Not 0 where one of BYTES may not stand for itself: control characters, what is not ASCII, and "&<>\\. */
static halves
suspects (vector bytes)
{
  return (halves) ((bytes - 0x20 >= 0x60) | ((bytes | 4) == '&') | ((bytes | 2) == '>') | (bytes == '\\'));
}

/* Copies what stands for itself, to the first suspect. Writes up to JSON_SLACK bytes past that. @return its length */
static size_t
copy_plain (char *out, const char *text, size_t size)
{
  size_t at = 0;
  for (vector bytes; at + sizeof bytes <= size; at += sizeof bytes)
    {
      memcpy (&bytes, text + at, sizeof bytes);
      memcpy (out + at, &bytes, sizeof bytes);
      halves found = suspects (bytes);
      if ((found[0] | found[1]) != 0)
        break;
    }
  for (; at < size; at++)
    {
      unsigned char c = (unsigned char) text[at];
      if (c < 0x20 || c >= 0x80 || (c | 4) == '&' || (c | 2) == '>' || c == '\\')
        break;
      out[at] = text[at];
    }
  return at;
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

/* U+2028 and U+2029 end lines in JavaScript. */
static bool
ends_line (const unsigned char *text)
{
  return text[0] == 0xe2 && text[1] == 0x80 && (text[2] | 1) == 0xa9;
}

/* Copies sequences of UTF-8 that stand for themselves. @return their length */
static size_t
copy_sequences (char *out, const unsigned char *text, size_t size)
{
  size_t at = 0;
  while (at < size && text[at] >= 0x80)
    {
      size_t length = utf8_length (text + at, size - at);
      if (length == 0 || (length == 3 && ends_line (text + at)))
        break;
      for (size_t end = at + length; at < end; at++)
        out[at] = (char) text[at];
    }
  return at;
}

static char *
put_text (char *out, const char *text)
{
  size_t size = strlen (text);
  memcpy (out, text, size);
  return out + size;
}

/* Writes what stands for a suspect at *TEXT, and goes past it. @return where the next goes */
static char *
put_escape (char *out, const unsigned char **text, size_t size)
{
  static const char hex[] = "0123456789abcdef";
  unsigned char c = **text;
  size_t length = c < 0x80 ? 1 : utf8_length (*text, size);
  if (c == '"' || c == '\\' || c == '\n' || c == '\r')
    {
      *out++ = '\\';
      *out++ = (char) (c == '\n' ? 'n' : c == '\r' ? 'r' : c);
    }
  else if (length == 0)
    out = put_text (out, "\\ufffd");
  else
    {
      unsigned char low = length == 3 ? (*text)[2] & 0x3f : c;
      out = put_text (out, length == 3 ? "\\u20" : "\\u00");
      *out++ = hex[low >> 4];
      *out++ = hex[low & 15];
    }
  *text += length == 0 ? 1 : length;
  return out;
}

char *
json_text (char *out, const char *given, size_t size)
{
  const unsigned char *text = (const unsigned char *) given, *end = text + size;
  while (text < end)
    {
      size_t plain = copy_plain (out, (const char *) text, (size_t) (end - text));
      plain += copy_sequences (out + plain, text + plain, (size_t) (end - text) - plain);
      out += plain;
      text += plain;
      if (plain == 0)
        out = put_escape (out, &text, (size_t) (end - text));
    }
  return out;
}
