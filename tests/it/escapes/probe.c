/* Attempts to see or change something that a build has not declared: `probe NAME [ARGUMENT]`.
   Exit 0: it worked. 1: it was refused, with the reason on standard output. Built statically; run outside of a sandbox (where it must work)
   and inside (where it must not). The table with what each one means is in escapes.rs. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/perf_event.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/personality.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timex.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

static int refused(const char *why) { puts(why); return 1; }
static int failed(void) { return refused(strerror(errno)); }
/* Of a call that returns a negative number on failure. */
static int works(long answer) { return answer < 0 ? failed() : 0; }

static char buffer[1 << 16];
static int slurp(const char *path) {
    int fd = open(path, O_RDONLY);
    if (fd < 0) return -1;
    int n = read(fd, buffer, sizeof buffer - 1);
    close(fd);
    if (n >= 0) buffer[n] = 0;
    return n;
}
static int new_file(int mode) { unlink("made"); return open("made", O_CREAT | O_EXCL | O_RDWR, mode); }

/* What can be seen. */
static int read_file(const char *path) { int n = slurp(path); return n > 0 ? 0 : n == 0 ? refused("empty") : failed(); }
static int list_dir(const char *path) {
    DIR *dir = opendir(path);
    if (!dir) return failed();
    for (struct dirent *e; (e = readdir(dir));) if (e->d_name[0] != '.') return 0;
    return refused("empty");
}
static int contains(const char *argument) { /* PATH=TEXT */
    char *path = strdup(argument), *text = strchr(path, '=');
    *text++ = 0;
    if (slurp(path) < 0) return failed();
    return strstr(buffer, text) ? 0 : refused("not in it");
}
static int see_variable(const char *name) { return getenv(name) ? 0 : refused("not set"); }
static int see_process(const char *mark) {
    DIR *dir = opendir("/proc");
    if (!dir) return failed();
    for (struct dirent *e; (e = readdir(dir));) {
        char path[300];
        snprintf(path, sizeof path, "/proc/%s/cmdline", e->d_name);
        int n = e->d_name[0] > '0' && e->d_name[0] <= '9' ? slurp(path) : 0;
        if (n > 0 && memmem(buffer, n, mark, strlen(mark)) && atoi(e->d_name) != getpid()) return 0;
    }
    return refused("no such process");
}
static int signal_process(const char *pid) { return works(kill(atoi(pid), 0)); }
static int see_host_name(const char *name) {
    char own[256];
    gethostname(own, sizeof own);
    return strcmp(own, name) ? refused(own) : 0;
}
static int connect_tcp(const char *port) {
    struct sockaddr_in to = { AF_INET, htons(atoi(port)), { htonl(INADDR_LOOPBACK) }, { 0 } };
    return works(connect(socket(AF_INET, SOCK_STREAM, 0), (void *)&to, sizeof to));
}
static int connect_abstract(const char *name) {
    struct sockaddr_un to = { AF_UNIX, { 0 } };
    strcpy(to.sun_path + 1, name);
    return works(connect(socket(AF_UNIX, SOCK_STREAM, 0), (void *)&to, offsetof(struct sockaddr_un, sun_path) + 1 + strlen(name)));
}
static int see_shared_memory(const char *key) { return works(shmget(atoi(key), 0, 0)); }
static int hold_shared_memory(const char *key) {
    int id = shmget(atoi(key), 4096, IPC_CREAT | 0666);
    if (id < 0) return failed();
    puts("ready"); fflush(stdout);
    getchar();
    return works(shmctl(id, IPC_RMID, 0));
}
static int parent_file(const char *name) {
    char path[100];
    snprintf(path, sizeof path, "/proc/%d/%s", getppid() ? getppid() : 1, name);
    return works(open(path, O_RDONLY));
}
static int new_terminal(const char *_) { return works(posix_openpt(O_RDWR)); }
static int kernel_log(const char *_) { return works(syscall(SYS_syslog, 3, buffer, sizeof buffer)); }
static int read_clock_state(const char *_) { struct timex state = { 0 }; return works(adjtimex(&state)); }
static int file_handle(const char *path) {
    struct { struct file_handle handle; char bytes[128]; } h = { .handle = { .handle_bytes = 128 } };
    int id;
    return works(name_to_handle_at(AT_FDCWD, path, &h.handle, &id, 0));
}
static int where_is_the_stack(const char *self) {
    long seen[2];
    for (int i = 0; i < 2; i++) {
        int pipe_fds[2];
        if (pipe(pipe_fds)) return failed();
        if (!fork()) { dup2(pipe_fds[1], 1); execl(self, self, "print-stack", NULL); _exit(3); }
        wait(NULL);
        buffer[read(pipe_fds[0], buffer, 40)] = 0;
        seen[i] = strtol(buffer, 0, 16);
    }
    return seen[0] != seen[1] ? 0 : refused("the same every time");
}
static int print_stack(const char *_) { int here; printf("%lx\n", (long)&here); return 0; }

/* What can be changed. */
static int write_file(const char *path) { int fd = open(path, O_WRONLY | O_APPEND); return fd < 0 ? failed() : works(write(fd, "x", 1)); }
static int make_file(const char *path) { return works(open(path, O_CREAT | O_WRONLY, 0600)); }
static int change_mode(const char *path) { return works(chmod(path, 0777)); }
static int change_times(const char *path) { return works(utimensat(AT_FDCWD, path, NULL, 0)); }
static int replace(const char *path) { char to[500]; snprintf(to, sizeof to, "%s.old", path); return works(rename(path, to)); }
static int hard_link(const char *path) { unlink("linked"); return works(link(path, "linked")); }
static int set_host_name(const char *name) { return works(sethostname(name, strlen(name))); }
static int set_clock(const char *_) { struct timeval now; gettimeofday(&now, 0); return works(settimeofday(&now, 0)); }
static int device_node(const char *_) { unlink("node"); return works(mknod("node", S_IFCHR | 0666, 1 << 8 | 3)); }

/* Set-id bits. */
static int is_set_id(const char *path) { struct stat s; if (stat(path, &s)) return failed(); return s.st_mode & 06000 ? 0 : refused("no bit"); }
static int by_chmod(const char *_) { close(new_file(0755)); return syscall(SYS_chmod, "made", 04755) ? failed() : is_set_id("made"); }
static int by_fchmod(const char *_) { int fd = new_file(0755); return fchmod(fd, 04755) ? failed() : is_set_id("made"); }
static int by_fchmodat(const char *_) { close(new_file(0755)); return syscall(SYS_fchmodat, AT_FDCWD, "made", 02755) ? failed() : is_set_id("made"); }
static int by_fchmodat2(const char *_) { close(new_file(0755)); return syscall(452, AT_FDCWD, "made", 04755, 0) ? failed() : is_set_id("made"); }
static int by_open(const char *_) { return new_file(04755) < 0 ? failed() : is_set_id("made"); }
static int by_creat(const char *_) { unlink("made"); return syscall(SYS_creat, "made", 04755) < 0 ? failed() : is_set_id("made"); }
static int by_mknod(const char *_) { unlink("made"); return mknod("made", S_IFREG | 04755, 0) ? failed() : is_set_id("made"); }
static int by_openat2(const char *_) {
    struct { uint64_t flags, mode, resolve; } how = { O_CREAT | O_RDWR, 04755, 0 };
    unlink("made");
    return syscall(SYS_openat2, AT_FDCWD, "made", &how, sizeof how) < 0 ? failed() : is_set_id("made");
}

/* What an archive cannot hold. */
static int set_attribute(const char *_) { return works(fsetxattr(new_file(0644), "user.kiln", "x", 1, 0)); }
static int list_attributes(const char *_) { return works(flistxattr(new_file(0644), buffer, sizeof buffer)); }
static int file_flags(const char *_) { int fd = new_file(0644), flags = 0x40; return works(ioctl(fd, 0x40086602, &flags)); }

/* Parts of the kernel. */
static int unshare_user(const char *_) { return works(unshare(CLONE_NEWUSER)); }
static int clone_user(const char *_) { return works(syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0)); }
static int clone3_user(const char *_) {
    struct { uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls; } args = { CLONE_NEWUSER, 0, 0, 0, SIGCHLD, 0, 0, 0 };
    return works(syscall(SYS_clone3, &args, sizeof args));
}
static int enter_namespace(const char *_) { return works(setns(open("/proc/self/ns/uts", O_RDONLY), 0)); }
static int mount_tmpfs(const char *_) { mkdir("mounted", 0755); return mount("none", "mounted", "tmpfs", 0, 0) ? failed() : works(umount("mounted")); }
static int new_mount(const char *_) { return works(syscall(SYS_fsopen, "tmpfs", 0)); }
static int copy_mount(const char *path) { return works(syscall(SYS_open_tree, AT_FDCWD, path, 1)); }
static int change_root(const char *_) { return works(chroot(".")); }
static pid_t sleeper(void) { pid_t pid = fork(); if (!pid) { pause(); _exit(0); } return pid; }
static int end(pid_t pid, int outcome) { kill(pid, SIGKILL); waitpid(pid, NULL, 0); return outcome; }
static int trace(const char *_) { pid_t pid = sleeper(); return end(pid, works(ptrace(PTRACE_SEIZE, pid, 0, 0))); }
static int read_memory(const char *_) {
    pid_t pid = sleeper();
    char byte;
    struct iovec to = { &byte, 1 }, from = { buffer, 1 };
    return end(pid, works(process_vm_readv(pid, &to, 1, &from, 1, 0)));
}
static int steal_descriptor(const char *_) { pid_t pid = sleeper(); return end(pid, works(syscall(SYS_pidfd_getfd, syscall(SYS_pidfd_open, pid, 0), 0, 0))); }
static int add_key(const char *_) { return works(syscall(SYS_add_key, "user", "kiln", "x", 1, -2)); }
static int see_keyring(const char *_) { return works(syscall(SYS_keyctl, 0, -4, 1)); }
static int io_uring(const char *_) { char params[120] = { 0 }; return works(syscall(SYS_io_uring_setup, 1, params)); }
static int user_faults(const char *_) { return works(syscall(SYS_userfaultfd, 1)); }
static int bpf_map(const char *_) { uint32_t attributes[32] = { 2, 4, 4, 1 }; return works(syscall(SYS_bpf, 0, attributes, sizeof attributes)); }
static int performance(const char *_) {
    struct perf_event_attr event = { .type = PERF_TYPE_SOFTWARE, .size = sizeof event, .config = PERF_COUNT_SW_TASK_CLOCK, .exclude_kernel = 1, .exclude_hv = 1 };
    return works(syscall(SYS_perf_event_open, &event, 0, -1, -1, 0));
}
static int watch_files(const char *_) { return works(syscall(SYS_fanotify_init, 0, 0)); }
static int new_socket(const char *family) { return works(socket(atoi(family), SOCK_RAW, 0)); }
static int change_personality(const char *_) { return works(personality(PER_LINUX32)); }
static int become_root(const char *_) { return setresuid(0, 0, 0) ? failed() : getuid() ? refused("not root") : 0; }
static int core_dumps(const char *_) { struct rlimit limit = { 1, 1 }; return works(setrlimit(RLIMIT_CORE, &limit)); }
static int foreign_abi(const char *_) {
    pid_t pid = fork();
    if (!pid) { long id = 20; /* getpid of i386 */ __asm__ volatile("int $0x80" : "+a"(id)); _exit(id == getpid() ? 0 : 1); }
    int status;
    waitpid(pid, &status, 0);
    return WIFEXITED(status) && !WEXITSTATUS(status) ? 0 : refused(WIFSIGNALED(status) ? strsignal(WTERMSIG(status)) : "another answer");
}
static int type_into_terminal(const char *_) { return works(ioctl(0, TIOCSTI, "x")); }

#define ATTEMPT(function) { #function, function }
static const struct { const char *name; int (*run)(const char *); } attempts[] = {
    ATTEMPT(read_file), ATTEMPT(list_dir), ATTEMPT(contains), ATTEMPT(see_variable), ATTEMPT(see_process), ATTEMPT(signal_process),
    ATTEMPT(see_host_name), ATTEMPT(connect_tcp), ATTEMPT(connect_abstract), ATTEMPT(see_shared_memory), ATTEMPT(hold_shared_memory),
    ATTEMPT(parent_file), ATTEMPT(new_terminal), ATTEMPT(kernel_log), ATTEMPT(read_clock_state), ATTEMPT(file_handle),
    ATTEMPT(where_is_the_stack), { "print-stack", print_stack }, ATTEMPT(write_file), ATTEMPT(make_file), ATTEMPT(change_mode),
    ATTEMPT(change_times), ATTEMPT(replace), ATTEMPT(hard_link), ATTEMPT(set_host_name), ATTEMPT(set_clock), ATTEMPT(device_node),
    ATTEMPT(by_chmod), ATTEMPT(by_fchmod), ATTEMPT(by_fchmodat), ATTEMPT(by_fchmodat2), ATTEMPT(by_open), ATTEMPT(by_creat),
    ATTEMPT(by_mknod), ATTEMPT(by_openat2), ATTEMPT(set_attribute), ATTEMPT(list_attributes), ATTEMPT(file_flags), ATTEMPT(unshare_user),
    ATTEMPT(clone_user), ATTEMPT(clone3_user), ATTEMPT(enter_namespace), ATTEMPT(mount_tmpfs), ATTEMPT(new_mount), ATTEMPT(copy_mount),
    ATTEMPT(change_root), ATTEMPT(trace), ATTEMPT(read_memory), ATTEMPT(steal_descriptor), ATTEMPT(add_key), ATTEMPT(see_keyring),
    ATTEMPT(io_uring), ATTEMPT(user_faults), ATTEMPT(bpf_map), ATTEMPT(performance), ATTEMPT(watch_files), ATTEMPT(new_socket),
    ATTEMPT(change_personality), ATTEMPT(become_root), ATTEMPT(core_dumps), ATTEMPT(foreign_abi), ATTEMPT(type_into_terminal),
};

int main(int count, char **words) {
    umask(0);
    for (size_t i = 0; count > 1 && i < sizeof attempts / sizeof *attempts; i++)
        if (!strcmp(attempts[i].name, words[1])) return attempts[i].run(count > 2 ? words[2] : "");
    return 4;
}
