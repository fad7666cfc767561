// A disk that takes its time, for measuring what a commit costs elsewhere: each fsync waits SLOW_FSYNC_US microseconds first.
//
//   cc -shared -fPIC -o slow-fsync.so bench/slow-fsync.c -ldl
//   SLOW_FSYNC_US=5000 LD_PRELOAD=./slow-fsync.so node ...

#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <unistd.h>

static int slowly(const char *name, int fd) {
  const char *pause = getenv("SLOW_FSYNC_US");
  int (*sync)(int) = (int (*)(int)) dlsym(RTLD_NEXT, name);
  if (pause != NULL) usleep((useconds_t) atoi(pause));
  return sync(fd);
}

int fsync(int fd) { return slowly("fsync", fd); }
int fdatasync(int fd) { return slowly("fdatasync", fd); }
