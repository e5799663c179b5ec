/* Who is where, and whom else to ask: files that the daemon writes whole and puts in place by rename(2).
 *
 *   networks/ID     `network NAME`, then for each container `host ADDRESS4|- ADDRESS6|- NAME…`, the first name being the container's own
 *   containers/ID   lines, the first network being the one that is asked first:
 *                     `network ID`
 *                     `link ID ALIAS TARGET`: in that network, ALIAS means whatever TARGET does
 *                     `server own|host ADDRESS`: a server elsewhere, and the network namespace from which it is asked
 *
 * Names are in lower case. A file that has been read stays open, so that its inode is nobody else's: another inode means another file. */
#include "net-names.h"

enum { LARGEST_FILE = 64 << 20, MOST_LINKS = 256, MOST_NETWORKS = 64 };

struct file
{
  int fd;
  ino_t inode;
  char *text;
};

/* A name of a container, in the list of all that have the same hash. */
struct label
{
  const char *name;
  const struct host *host;
  struct label *next;
};

struct network
{
  char *id;
  struct file file;
  const char *name;
  struct host *hosts;
  size_t host_count;
  struct label *labels, **buckets;
  size_t mask;
};

struct link
{
  const char *network, *alias, *target;
};

static int folder_fd;
static char container_path[128];
static struct file container = { .fd = -1 };
static struct network networks[MOST_NETWORKS];
static int network_count;
static struct link links[MOST_LINKS];
static int link_count;
static struct server servers[MOST_SERVERS];
static int server_count;

static bool
is_current (const struct file *file, const char *path)
{
  struct stat info;
  return fstatat (folder_fd, path, &info, 0) < 0 ? file->fd >= 0 : file->fd >= 0 && info.st_ino == file->inode;
}

static int
file_read (struct file *file, const char *path)
{
  struct stat info;
  cleanup_close int fd = openat (folder_fd, path, O_RDONLY | O_CLOEXEC);
  if (fd < 0 || fstat (fd, &info) < 0)
    return -errno;
  if (info.st_size > LARGEST_FILE)
    return -EFBIG;
  size_t size = (size_t) info.st_size, got = 0;
  char *text = malloc (size + 1);
  if (text == NULL)
    return -ENOMEM;
  for (ssize_t part; got < size && (part = read (fd, text + got, size - got)) > 0;)
    got += (size_t) part;
  text[got] = '\0';
  *file = (struct file){ .fd = fd, .inode = info.st_ino, .text = text };
  fd = -1;
  return 0;
}

static void
file_close (struct file *file)
{
  if (file->fd >= 0)
    close (file->fd);
  free (file->text);
  *file = (struct file){ .fd = -1 };
}

static uint32_t
hash_of (const char *name)
{
  uint32_t hash = 0x811c9dc5;
  for (; *name != '\0'; name++)
    hash = (hash ^ (uint8_t) *name) * 0x01000193;
  return hash ^ hash >> 15;
}

static void
network_clear (struct network *network)
{
  file_close (&network->file);
  free (network->hosts);
  free (network->labels);
  free (network->buckets);
  network->hosts = NULL;
  network->labels = NULL;
  network->buckets = NULL;
  network->host_count = 0;
}

static size_t
count (const char *text, char wanted)
{
  size_t found = 0;
  for (; *text != '\0'; text++)
    found += *text == wanted;
  return found;
}

static void
add_host (struct network *network, char *line, struct label **labels)
{
  struct host *host = network->hosts + network->host_count;
  const char *v4 = strsep (&line, " "), *v6 = strsep (&line, " ");
  if (v4 == NULL || v6 == NULL || line == NULL)
    return;
  *host = (struct host){ .name = line };
  host->has4 = inet_pton (AF_INET, v4, &host->v4) == 1;
  host->has6 = inet_pton (AF_INET6, v6, &host->v6) == 1;
  network->host_count++;
  for (char *name; (name = strsep (&line, " ")) != NULL;)
    {
      struct label **bucket = network->buckets + (hash_of (name) & network->mask);
      **labels = (struct label){ .name = name, .host = host, .next = *bucket };
      *bucket = (*labels)++;
    }
}

static int
network_load (struct network *network, const char *path)
{
  struct file file;
  int error = file_read (&file, path);
  if (error < 0)
    return error;
  network_clear (network);
  network->file = file;
  network->name = "";
  size_t names = count (file.text, ' ') + 1;
  network->mask = 15;
  while (network->mask < names)
    network->mask = network->mask * 2 + 1;
  network->hosts = calloc (count (file.text, '\n') + 1, sizeof *network->hosts);
  network->labels = calloc (names, sizeof *network->labels);
  network->buckets = calloc (network->mask + 1, sizeof *network->buckets);
  if (network->hosts == NULL || network->labels == NULL || network->buckets == NULL)
    {
      network_clear (network);
      return -ENOMEM;
    }
  struct label *labels = network->labels;
  for (char *rest = file.text, *line; (line = strsep (&rest, "\n")) != NULL;)
    if (strncmp (line, "network ", 8) == 0)
      network->name = line + 8;
    else if (strncmp (line, "host ", 5) == 0)
      add_host (network, line + 5, &labels);
  return 0;
}

static void
network_refresh (struct network *network)
{
  char path[128];
  snprintf (path, sizeof path, "networks/%s", network->id);
  if (!is_current (&network->file, path))
    network_load (network, path);
}

/* What is known of a network that stays need not be read again. */
static void
set_networks (char **ids, int wanted)
{
  struct network before[MOST_NETWORKS];
  int before_count = network_count;
  memcpy (before, networks, sizeof *networks * (size_t) network_count);
  network_count = 0;
  for (int i = 0; i < wanted; i++)
    {
      struct network *network = networks + network_count;
      *network = (struct network){ .file.fd = -1, .name = "" };
      for (int j = 0; j < before_count; j++)
        if (before[j].id != NULL && strcmp (before[j].id, ids[i]) == 0)
          {
            *network = before[j];
            before[j].id = NULL;
          }
      if (network->id != NULL || (network->id = strdup (ids[i])) != NULL)
        network_count++;
    }
  for (int j = 0; j < before_count; j++)
    if (before[j].id != NULL)
      {
        free (before[j].id);
        network_clear (before + j);
      }
}

/* `fe80::1%2`: the number of the interface stands behind the address. */
static void
add_server (char *line)
{
  const char *whence = strsep (&line, " ");
  char *scope = line == NULL ? NULL : strchr (line, '%');
  uint64_t index = 0;
  if (line == NULL || server_count == MOST_SERVERS || (scope != NULL && parse_number (scope + 1, INT_MAX, &index) < 0))
    return;
  if (scope != NULL)
    *scope = '\0';
  struct server *server = servers + server_count;
  *server = (struct server){ .of_host = strcmp (whence, "host") == 0 };
  if (address_parse (line, 53, &server->address) < 0)
    return;
  if (scope != NULL)
    server->address.v6.sin6_scope_id = (uint32_t) index;
  server_count++;
}

static void
add_link (char *line)
{
  const char *network = strsep (&line, " "), *alias = strsep (&line, " ");
  if (line != NULL && link_count < MOST_LINKS)
    links[link_count++] = (struct link){ network, alias, line };
}

static int
container_load (void)
{
  struct file file;
  char *ids[MOST_NETWORKS];
  int wanted = 0, error = file_read (&file, container_path);
  if (error < 0)
    return error;
  file_close (&container);
  container = file;
  link_count = server_count = 0;
  for (char *rest = file.text, *line; (line = strsep (&rest, "\n")) != NULL;)
    if (strncmp (line, "network ", 8) == 0 && wanted < MOST_NETWORKS)
      ids[wanted++] = line + 8;
    else if (strncmp (line, "link ", 5) == 0)
      add_link (line + 5);
    else if (strncmp (line, "server ", 7) == 0)
      add_server (line + 7);
  set_networks (ids, wanted);
  return 0;
}

bool
zone_refresh (void)
{
  bool changed = !is_current (&container, container_path) && container_load () == 0;
  for (int i = 0; i < network_count; i++)
    network_refresh (networks + i);
  return changed;
}

int
zone_open (int folder, const char *id)
{
  folder_fd = folder;
  snprintf (container_path, sizeof container_path, "containers/%s", id);
  int error = container_load ();
  zone_refresh ();
  return error;
}

int
zone_servers (const struct server **out)
{
  *out = servers;
  return server_count;
}

static int
find_in (const struct network *network, const char *name, const struct host **out, int most)
{
  int found = 0;
  for (int i = 0; i < link_count; i++)
    if (strcmp (links[i].alias, name) == 0 && strcmp (links[i].network, network->id) == 0)
      {
        name = links[i].target;
        break;
      }
  if (network->buckets == NULL)
    return 0;
  for (const struct label *label = network->buckets[hash_of (name) & network->mask]; label != NULL && found < most; label = label->next)
    if (strcmp (label->name, name) == 0)
      out[found++] = label->host;
  return found;
}

int
zone_find (const char *name, const struct host **out, int most)
{
  size_t length = strlen (name);
  for (int i = 0; i < network_count; i++)
    {
      char bare[NAME_ROOM];
      size_t tail = strlen (networks[i].name);
      int found = find_in (networks + i, name, out, most);
      if (found > 0)
        return found;
      if (tail == 0 || length < tail + 2 || name[length - tail - 1] != '.' || strcmp (name + length - tail, networks[i].name) != 0)
        continue;
      snprintf (bare, sizeof bare, "%.*s", (int) (length - tail - 1), name);
      found = find_in (networks + i, bare, out, most);
      if (found > 0)
        return found;
    }
  return 0;
}

static bool
has (const struct host *host, const union address *address)
{
  if (address->any.sa_family == AF_INET)
    return host->has4 && host->v4.s_addr == address->v4.sin_addr.s_addr;
  return host->has6 && memcmp (&host->v6, &address->v6.sin6_addr, sizeof host->v6) == 0;
}

bool
zone_name_of (const union address *address, char *name, size_t room)
{
  for (int i = 0; i < network_count; i++)
    for (size_t j = 0; j < networks[i].host_count; j++)
      if (has (networks[i].hosts + j, address))
        return snprintf (name, room, "%s.%s", networks[i].hosts[j].name, networks[i].name) < (int) room;
  return false;
}
