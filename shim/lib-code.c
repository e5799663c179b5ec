/* The program's own code: half of what a process has in memory after a start is code that only a start runs. */
#include "lib.h"
#include <link.h>
#include <sys/mman.h>

static uint64_t
page_down (uint64_t address)
{
  return address & ~((uint64_t) sysconf (_SC_PAGESIZE) - 1);
}

/* Of the first object, which is the program: parts that are executed and never written. Their pages are the file's, in the page cache. */
static int
unmap_code (struct dl_phdr_info *object, size_t size, void *result)
{
  (void) size;
  for (int at = 0; at < object->dlpi_phnum; at++)
    {
      const ElfW (Phdr) *part = &object->dlpi_phdr[at];
      if (part->p_type != PT_LOAD || !(part->p_flags & PF_X) || (part->p_flags & PF_W))
        continue;
      uint64_t start = page_down (object->dlpi_addr + part->p_vaddr);
      uint64_t end = object->dlpi_addr + part->p_vaddr + part->p_memsz;
      if (madvise ((void *) (uintptr_t) start, end - start, MADV_DONTNEED) < 0)
        *(int *) result = -errno;
    }
  return 1;
}

/* Takes the program's code out of this process's memory: what is run again is mapped again, from the page cache, at a microsecond for 64 KiB.
 * See madvise(2), MADV_DONTNEED: a page of a file that was not written is read again. */
int
bosun_unmap_code (void)
{
  int result = 0;
  dl_iterate_phdr (unmap_code, &result);
  return result;
}
