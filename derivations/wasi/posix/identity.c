/*
 * The one user and the one group of a WASI program: number 1000, called "faasm", at home in "/".
 *
 * There is a name for number 0, too, for WASI says of every file that it belongs to 0. Nobody can become root.
 */
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <string.h>
#include <unistd.h>

enum { THE_ID = 1000 };

static char the_name[] = "faasm";
static char no_password[] = "x";
static char nothing[] = "";
static char home[] = "/";
static char shell[] = "/bin/sh";
static char root_name[] = "root";
static char *members[] = {the_name, NULL};
static char *root_members[] = {NULL};

enum { COUNT = 2 };
static struct passwd users[COUNT] = {
    {root_name, no_password, 0, 0, nothing, home, shell},
    {the_name, no_password, THE_ID, THE_ID, nothing, home, shell},
};
static struct group groups[COUNT] = {
    {root_name, no_password, 0, root_members},
    {the_name, no_password, THE_ID, members},
};

/* How many entries getpwent and getgrent have told about. */
static int users_told, groups_told;

uid_t getuid(void) { return THE_ID; }
uid_t geteuid(void) { return THE_ID; }
gid_t getgid(void) { return THE_ID; }
gid_t getegid(void) { return THE_ID; }
pid_t getppid(void) { return 1; }

/* Becoming who one is already is allowed; becoming anybody else is not. */
static int become(unsigned id) {
    if (id == THE_ID)
        return 0;
    errno = EPERM;
    return -1;
}

int setuid(uid_t uid) { return become(uid); }
int setgid(gid_t gid) { return become(gid); }

int getgroups(int size, gid_t groups[]) {
    if (size == 0)
        return 1;
    if (size < 0) {
        errno = EINVAL;
        return -1;
    }
    groups[0] = THE_ID;
    return 1;
}

/* Copies `text` with its NUL into `size` bytes at `to`; an error number if it doesn't fit. */
static int put(char *to, size_t size, const char *text, int too_small) {
    size_t needed = strlen(text) + 1;
    if (needed > size)
        return too_small;
    memcpy(to, text, needed);
    return 0;
}

char *getlogin(void) { return the_name; }
int getlogin_r(char *name, size_t size) { return put(name, size, the_name, ERANGE); }

int gethostname(char *name, size_t size) {
    int error = put(name, size, "localhost", ENAMETOOLONG);
    if (error) {
        errno = error;
        return -1;
    }
    return 0;
}

struct passwd *getpwuid(uid_t uid) {
    for (int i = 0; i < COUNT; i++)
        if (users[i].pw_uid == uid)
            return &users[i];
    return NULL;
}

struct passwd *getpwnam(const char *name) {
    for (int i = 0; i < COUNT; i++)
        if (strcmp(users[i].pw_name, name) == 0)
            return &users[i];
    return NULL;
}

struct group *getgrgid(gid_t gid) {
    for (int i = 0; i < COUNT; i++)
        if (groups[i].gr_gid == gid)
            return &groups[i];
    return NULL;
}

struct group *getgrnam(const char *name) {
    for (int i = 0; i < COUNT; i++)
        if (strcmp(groups[i].gr_name, name) == 0)
            return &groups[i];
    return NULL;
}

/* The entries never change, so the reentrant forms may point to them and need no buffer. */
#define REENTRANT(function, key, type) \
    int function##_r(key sought, struct type *entry, char *buffer, size_t size, struct type **result) { \
        const struct type *found = function(sought); \
        (void)buffer, (void)size; \
        if (found) \
            *entry = *found; \
        *result = found ? entry : NULL; \
        return 0; \
    }

REENTRANT(getpwuid, uid_t, passwd)
REENTRANT(getpwnam, const char *, passwd)
REENTRANT(getgrgid, gid_t, group)
REENTRANT(getgrnam, const char *, group)

void setpwent(void) { users_told = 0; }
void endpwent(void) { users_told = 0; }
struct passwd *getpwent(void) { return users_told < COUNT ? &users[users_told++] : NULL; }
void setgrent(void) { groups_told = 0; }
void endgrent(void) { groups_told = 0; }
struct group *getgrent(void) { return groups_told < COUNT ? &groups[groups_told++] : NULL; }
