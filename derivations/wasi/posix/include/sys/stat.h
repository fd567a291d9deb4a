/* wasi-libc's sys/stat.h, and the functions about permissions that it leaves out. */
#ifndef KILN_POSIX_SYS_STAT_H
#define KILN_POSIX_SYS_STAT_H

#include_next <sys/stat.h>

#ifdef __cplusplus
extern "C" {
#endif

int chmod(const char *path, mode_t mode);
int fchmod(int fd, mode_t mode);
mode_t umask(mode_t mask);

#ifdef __cplusplus
}
#endif
#endif
