/* There are no other processes: starting one fails, and so does waiting for one. */
#include <errno.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static int not_supported(void) {
    errno = ENOSYS;
    return -1;
}

pid_t fork(void) { return not_supported(); }
pid_t vfork(void) { return not_supported(); }

int execv(const char *path, char *const argv[]) {
    (void)path, (void)argv;
    return not_supported();
}

int execve(const char *path, char *const argv[], char *const envp[]) {
    (void)path, (void)argv, (void)envp;
    return not_supported();
}

int execvp(const char *file, char *const argv[]) {
    (void)file, (void)argv;
    return not_supported();
}

int pipe(int ends[2]) {
    (void)ends;
    return not_supported();
}

pid_t waitpid(pid_t pid, int *status, int options) {
    (void)pid, (void)status, (void)options;
    errno = ECHILD;
    return -1;
}

pid_t wait(int *status) { return waitpid(-1, status, 0); }
