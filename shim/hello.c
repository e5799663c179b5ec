/* The program of the built-in image: says that the container works, and what it sees from inside. */
#define _GNU_SOURCE
#include <stdio.h>
#include <unistd.h>

int
main (void)
{
  char name[256] = "?";
  gethostname (name, sizeof name - 1);
  printf ("\nHello from Bosun!\n\n"
          "This container works. Its host name is %s, and this program is process %d of namespaces of its own.\n"
          "What happened: the engine found this image, made a root out of its layers, handed a plan to a small shim,\n"
          "and the shim performed it: namespaces, mounts, limits, and at last this program, whose words you read.\n\n"
          "Something bigger:  docker run -it alpine sh\n\n",
          name, (int) getpid ());
  return 0;
}
