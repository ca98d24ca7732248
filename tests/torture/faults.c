/* Preloaded into a child: makes system calls on chosen files fail, switched on and off through a file shared with it.

   The file named by FAULTS_CONTROL is `struct control`. While `which` has the kind of a call and the call's file has a
   path that begins with `prefix`, such calls are counted in `seen`, by all threads and processes together; the ones
   numbered `first` to `last` fail with `error` and are counted in `failed`. Nothing is written then, not even in part.
   While `delay_us` is set, every fsync and fdatasync below `prefix` takes that long besides, whatever `which` is. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

enum { SYNC = 1, WRITE = 2, OPEN = 4, TRUNCATE = 8 };

struct control {
    atomic_int which, error, first, last, seen, failed, delay_us;
    char prefix[1024];
};

static struct control *control;

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

__attribute__((constructor)) static void attach(void) {
    const char *path = getenv("FAULTS_CONTROL");
    int file = path ? REAL(open)(path, O_RDWR | O_CLOEXEC) : -1;
    if (file < 0)
        return;
    void *mapped = mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
    if (mapped != MAP_FAILED)
        control = mapped;
}

static int fails(int kind, const char *path) {
    if (!control || !(control->which & kind) || strncmp(path, control->prefix, strlen(control->prefix)))
        return 0;
    int number = atomic_fetch_add(&control->seen, 1) + 1;
    if (number < control->first || number > control->last)
        return 0;
    atomic_fetch_add(&control->failed, 1);
    errno = control->error;
    return 1;
}

static int path_of(int file, char *path, size_t size) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, size - 1);
    path[length < 0 ? 0 : length] = 0;
    return length >= 0;
}

static int fails_at(int kind, int file) {
    char path[1024];
    if (!control || !(control->which & kind) || !path_of(file, path, sizeof path))
        return 0;
    return fails(kind, path);
}

static void slow_down(int file) {
    char path[1024];
    int delay = control ? control->delay_us : 0;
    if (delay && path_of(file, path, sizeof path) && !strncmp(path, control->prefix, strlen(control->prefix)))
        usleep(delay);
}

int fsync(int file) {
    slow_down(file);
    return fails_at(SYNC, file) ? -1 : REAL(fsync)(file);
}
int fdatasync(int file) {
    slow_down(file);
    return fails_at(SYNC, file) ? -1 : REAL(fdatasync)(file);
}
int ftruncate(int file, off_t size) { return fails_at(TRUNCATE, file) ? -1 : REAL(ftruncate)(file, size); }
int ftruncate64(int file, off64_t size) { return fails_at(TRUNCATE, file) ? -1 : REAL(ftruncate64)(file, size); }

ssize_t write(int file, const void *from, size_t size) {
    return fails_at(WRITE, file) ? -1 : REAL(write)(file, from, size);
}
ssize_t pwrite(int file, const void *from, size_t size, off_t at) {
    return fails_at(WRITE, file) ? -1 : REAL(pwrite)(file, from, size, at);
}
ssize_t pwrite64(int file, const void *from, size_t size, off64_t at) {
    return fails_at(WRITE, file) ? -1 : REAL(pwrite64)(file, from, size, at);
}

#define OPENS(name, declared, given)                                                                                   \
    int name(declared const char *path, int flags, ...) {                                                              \
        va_list more;                                                                                                  \
        va_start(more, flags);                                                                                         \
        mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(more, mode_t) : 0;                                        \
        va_end(more);                                                                                                  \
        return fails(OPEN, path) ? -1 : REAL(name)(given path, flags, mode);                                           \
    }
#define NOTHING
#define FOLDER int folder,
#define IN_FOLDER folder,
OPENS(open, NOTHING, NOTHING)
OPENS(open64, NOTHING, NOTHING)
OPENS(openat, FOLDER, IN_FOLDER)
OPENS(openat64, FOLDER, IN_FOLDER)
