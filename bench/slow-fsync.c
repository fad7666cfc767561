// Simulates a slow disk, to measure the cost of a commit on other machines. Each fsync first waits SLOW_FSYNC_US
// microseconds, and is counted in the first eight bytes of the file COUNT_FSYNC.
//
//   cc -shared -fPIC -o slow-fsync.so bench/slow-fsync.c -ldl
//   SLOW_FSYNC_US=5000 LD_PRELOAD=./slow-fsync.so node ...

#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

static long *counter;

__attribute__((constructor)) static void map_counter(void) {
  const char *path = getenv("COUNT_FSYNC");
  int fd = path == NULL ? -1 : open(path, O_RDWR);
  if (fd < 0) return;
  void *mapped = mmap(NULL, sizeof *counter, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (mapped != MAP_FAILED) counter = mapped;
  close(fd);
}

static int slowly(const char *name, int fd) {
  const char *pause = getenv("SLOW_FSYNC_US");
  int (*sync)(int) = (int (*)(int)) dlsym(RTLD_NEXT, name);
  if (pause != NULL && atoi(pause) > 0) usleep((useconds_t) atoi(pause));
  if (counter != NULL) __atomic_add_fetch(counter, 1, __ATOMIC_RELAXED);
  return sync(fd);
}

int fsync(int fd) { return slowly("fsync", fd); }
int fdatasync(int fd) { return slowly("fdatasync", fd); }
