/* Between a program and the C library: files below a folder are refused, or answered late, from the
   nth change on. By variables of the environment: REFUSE_UNDER is the folder, REFUSE_FROM the number
   of the first change (from 0), REFUSE_COUNT how many are refused, REFUSE_ERROR the error's number
   (0: none), REFUSE_LATE_MS how late each is. Built and used by storage.py. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static long changes;

static int number(const char *name) {
  const char *value = getenv(name);
  return value ? atoi(value) : 0;
}

static int refused(const char *path) {
  const char *under = getenv("REFUSE_UNDER");
  if (!under || !path || strncmp(path, under, strlen(under))) return 0;
  long at = __atomic_fetch_add(&changes, 1, __ATOMIC_RELAXED) - number("REFUSE_FROM");
  if (at < 0 || at >= number("REFUSE_COUNT")) return 0;
  usleep(1000 * number("REFUSE_LATE_MS"));
  errno = number("REFUSE_ERROR");
  return errno != 0;
}

static int refused_fd(int fd) {
  char link[64], path[PATH_MAX];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link, path, sizeof path - 1);
  if (length < 0) return 0;
  path[length] = 0;
  return refused(path);
}

#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
#define ON_FD(type, name, parameters, ...) \
  type name parameters { return refused_fd(fd) ? -1 : NEXT(name)(__VA_ARGS__); }
#define ON_PATH(name, parameters, ...) \
  int name parameters { return refused(path) ? -1 : NEXT(name)(__VA_ARGS__); }

ON_FD(ssize_t, write, (int fd, const void *data, size_t n), fd, data, n)
ON_FD(ssize_t, pwrite, (int fd, const void *data, size_t n, off_t at), fd, data, n, at)
ON_FD(ssize_t, pwrite64, (int fd, const void *data, size_t n, off64_t at), fd, data, n, at)
ON_FD(int, ftruncate, (int fd, off_t n), fd, n)
ON_FD(int, ftruncate64, (int fd, off64_t n), fd, n)
ON_FD(int, fsync, (int fd), fd)
ON_FD(int, fdatasync, (int fd), fd)
ON_PATH(mkdir, (const char *path, mode_t mode), path, mode)
ON_PATH(rename, (const char *path, const char *to), path, to)
ON_PATH(unlink, (const char *path), path)

#define OPENS(name, parameters, ...) \
  int name parameters { \
    va_list rest; \
    va_start(rest, flags); \
    mode_t mode = flags & O_CREAT ? va_arg(rest, mode_t) : 0; \
    va_end(rest); \
    if ((flags & (O_CREAT | O_WRONLY | O_RDWR)) && refused(path)) return -1; \
    return NEXT(name)(__VA_ARGS__, flags, mode); \
  }
OPENS(open, (const char *path, int flags, ...), path)
OPENS(open64, (const char *path, int flags, ...), path)
OPENS(openat, (int folder, const char *path, int flags, ...), folder, path)
OPENS(openat64, (int folder, const char *path, int flags, ...), folder, path)
