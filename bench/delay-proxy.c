// A TCP proxy in front of a port of this machine. It passes each chunk on after a delay, so the link has the latency of
// a network and the bandwidth of the loopback interface. Only the opening of a connection is not delayed.
//
//   cc -O2 -o delay-proxy bench/delay-proxy.c
//   ./delay-proxy PORT MICROSECONDS
//
// It prints its own port, and ends when its standard input ends.

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

// One end of a connection. `ended` counts the directions of the connection that have ended, in one of its two sides.
struct side {
  int fd;
  struct side *other, *counter;
  int ended;
};

// All chunks have the same delay, so the first in the queue is due first. A chunk without data ends a direction.
struct chunk {
  struct chunk *next;
  struct side *to;
  long long due;
  ssize_t length;
  char data[];
};

static struct chunk *first, *last;
static int events;

static long long now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * 1000000000LL + time.tv_nsec;
}

static void watch(int fd, void *pointer) {
  struct epoll_event event = { .events = EPOLLIN, .data.ptr = pointer };
  if (epoll_ctl(events, EPOLL_CTL_ADD, fd, &event) < 0) exit(1);
}

static void open_connection(int listener, const struct sockaddr_in *target) {
  int on = 1;
  struct side *sides = calloc(2, sizeof *sides);
  sides[0].fd = accept(listener, NULL, NULL);
  sides[1].fd = socket(AF_INET, SOCK_STREAM, 0);
  if (connect(sides[1].fd, (const struct sockaddr *) target, sizeof *target) < 0) {
    close(sides[0].fd);
    close(sides[1].fd);
    free(sides);
    return;
  }
  for (int at = 0; at < 2; at++) {
    setsockopt(sides[at].fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    sides[at].other = &sides[1 - at];
    sides[at].counter = &sides[0];
    watch(sides[at].fd, &sides[at]);
  }
}

static void take(struct side *from, long long delay) {
  static char buffer[1 << 18];
  ssize_t length = recv(from->fd, buffer, sizeof buffer, 0);
  if (length <= 0) {
    length = 0;
    epoll_ctl(events, EPOLL_CTL_DEL, from->fd, NULL);
  }
  struct chunk *chunk = malloc(sizeof *chunk + (size_t) length);
  *chunk = (struct chunk) { .to = from->other, .due = now() + delay, .length = length };
  memcpy(chunk->data, buffer, (size_t) length);
  if (first == NULL) first = chunk;
  else last->next = chunk;
  last = chunk;
}

static void deliver(void) {
  struct chunk *chunk = first;
  struct side *to = chunk->to;
  for (ssize_t sent = 0, written; sent < chunk->length; sent += written) {
    written = send(to->fd, chunk->data + sent, (size_t) (chunk->length - sent), MSG_NOSIGNAL);
    // The receiver is gone, so its side ends too.
    if (written < 0) break;
  }
  if (chunk->length == 0) {
    shutdown(to->fd, SHUT_WR);
    struct side *sides = to->counter;
    if (++sides->ended == 2) {
      close(sides[0].fd);
      close(sides[1].fd);
      free(sides);
    }
  }
  first = chunk->next;
  free(chunk);
}

int main(int count, char **arguments) {
  if (count != 3) return 2;
  struct sockaddr_in target = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) }, own = target;
  target.sin_port = htons((unsigned short) atoi(arguments[1]));
  long long delay = atoll(arguments[2]) * 1000;
  socklen_t length = sizeof own;
  int listener = socket(AF_INET, SOCK_STREAM, 0);
  if (bind(listener, (struct sockaddr *) &own, length) < 0 || listen(listener, 128) < 0) return 1;
  getsockname(listener, (struct sockaddr *) &own, &length);
  printf("%d\n", ntohs(own.sin_port));
  fflush(stdout);

  // Otherwise the kernel may wake the process 50 microseconds late.
  prctl(PR_SET_TIMERSLACK, 1);
  events = epoll_create1(0);
  watch(listener, &listener);
  watch(STDIN_FILENO, NULL);
  for (;;) {
    while (first != NULL && first->due <= now()) deliver();
    long long wait = first == NULL ? 1000000000LL : first->due - now();
    if (wait < 0) wait = 0;
    struct timespec timeout = { .tv_sec = wait / 1000000000LL, .tv_nsec = wait % 1000000000LL };
    struct epoll_event event;
    if (epoll_pwait2(events, &event, 1, &timeout, NULL) < 1) continue;
    if (event.data.ptr == NULL) return 0;
    if (event.data.ptr == &listener) open_connection(listener, &target);
    else take(event.data.ptr, delay);
  }
}
