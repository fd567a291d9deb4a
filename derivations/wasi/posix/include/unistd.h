/* wasi-libc's unistd.h, and the functions that it leaves out. */
#ifndef KILN_POSIX_UNISTD_H
#define KILN_POSIX_UNISTD_H

#include_next <unistd.h>

#ifdef __cplusplus
extern "C" {
#endif

uid_t getuid(void);
uid_t geteuid(void);
gid_t getgid(void);
gid_t getegid(void);
int getgroups(int size, gid_t groups[]);
int setuid(uid_t uid);
int setgid(gid_t gid);
pid_t getppid(void);
char *getlogin(void);
int getlogin_r(char *name, size_t size);
int gethostname(char *name, size_t size);

int dup(int fd);
int dup2(int fd, int wanted);
int dup3(int fd, int wanted, int flags);
int pipe(int ends[2]);

pid_t fork(void);
pid_t vfork(void);
int execv(const char *path, char *const argv[]);
int execve(const char *path, char *const argv[], char *const envp[]);
int execvp(const char *file, char *const argv[]);

#ifdef __cplusplus
}
#endif
#endif
