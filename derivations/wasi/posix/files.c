/* Permissions, which WASI's files don't have, and copies of descriptors, which WASI can't make. */
#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

/* Succeeds for a file that is there, and changes nothing. */
int chmod(const char *path, mode_t mode) {
    struct stat found;
    (void)mode;
    return stat(path, &found);
}

int fchmod(int fd, mode_t mode) {
    struct stat found;
    (void)mode;
    return fstat(fd, &found);
}

static mode_t current_mask = 022;

/* Remembered, so that reading it back gives what was set. */
mode_t umask(mode_t mask) {
    mode_t before = current_mask;
    current_mask = mask & 0777;
    return before;
}

/* WASI can move a descriptor, not share it. Moving would close the original behind the caller's back. */
static int no_copy(int fd) {
    struct stat found;
    if (fstat(fd, &found) == 0)
        errno = ENOTSUP;
    return -1;
}

int dup(int fd) { return no_copy(fd); }

int dup2(int fd, int wanted) {
    struct stat found;
    if (fd == wanted)
        return fstat(fd, &found) == 0 ? fd : -1;
    return no_copy(fd);
}

int dup3(int fd, int wanted, int flags) {
    (void)flags;
    if (fd == wanted) {
        errno = EINVAL;
        return -1;
    }
    return no_copy(fd);
}
