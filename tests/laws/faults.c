/* Calls of the system that fail, or kill, or wait, below one folder: preloaded into a process, told by a shared file.
   Built by tests/laws/system_calls.py, which has the same layout of the plan. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

struct plan {
    volatile long calls;  /* so many were made below the folder */
    volatile long at;     /* the one that fails; 0: none */
    volatile long error;  /* its errno; -1: signal 9 instead */
    volatile long delay;  /* microseconds before each rename */
    char below[4064];
};
static struct plan *plan;

__attribute__((constructor)) static void start(void) {
    const char *name = getenv("FAULTS_PLAN");
    int file = name ? open(name, O_RDWR) : -1;
    if (file < 0) return;
    void *shared = mmap(0, sizeof(struct plan), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
    if (shared != MAP_FAILED) plan = shared;
}

static int below(const char *path) {
    return plan && path && plan->below[0] && !strncmp(path, plan->below, strlen(plan->below));
}

static int fails(const char *path) {
    if (!below(path) || __sync_add_and_fetch(&plan->calls, 1) != plan->at) return 0;
    if (plan->error < 0) kill(getpid(), SIGKILL);
    errno = (int)plan->error;
    return 1;
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
#define WRITES(flags) (((flags) & O_ACCMODE) != O_RDONLY)

#define OPEN(name)                                              \
    int name(const char *path, int flags, ...) {                \
        va_list more;                                           \
        va_start(more, flags);                                  \
        mode_t mode = (flags & O_CREAT) ? va_arg(more, int) : 0; \
        va_end(more);                                           \
        if (WRITES(flags) && fails(path)) return -1;            \
        return REAL(name)(path, flags, mode);                   \
    }
OPEN(open)
OPEN(open64)

#define OPENAT(name)                                            \
    int name(int at, const char *path, int flags, ...) {        \
        va_list more;                                           \
        va_start(more, flags);                                  \
        mode_t mode = (flags & O_CREAT) ? va_arg(more, int) : 0; \
        va_end(more);                                           \
        if (WRITES(flags) && fails(path)) return -1;            \
        return REAL(name)(at, path, flags, mode);               \
    }
OPENAT(openat)
OPENAT(openat64)

int rename(const char *from, const char *to) {
    if (below(to) && plan->delay) usleep(plan->delay);
    if (fails(to)) return -1;
    return REAL(rename)(from, to);
}

int unlink(const char *path) { return fails(path) ? -1 : REAL(unlink)(path); }
int remove(const char *path) { return fails(path) ? -1 : REAL(remove)(path); }
int mkdir(const char *path, mode_t mode) { return fails(path) ? -1 : REAL(mkdir)(path, mode); }
