/*
 * Which of the users' functions is to run.
 *
 * Faasm says so by three functions of its own. Where they are missing it is the command line:
 *
 *     function.wasm [--entry NAME] [USER/]FUNCTION
 */
#include <stdio.h>
#include <string.h>

#include "host.h"
#include "status.h"

static const char default_user[] = "python";
static const char default_entry[] = "faasm_main";

/* A user or a function is one component of a path. */
static int is_component(const char *name) {
    return *name && !strchr(name, '/') && strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

static int wrong(const char *why, const char *what) {
    fprintf(stderr, PROGRAM ": %s%s\n", why, what);
#ifndef FAASM_HOST_FULL
    fprintf(stderr, "usage: " PROGRAM " [--entry NAME] [USER/]FUNCTION\n");
#endif
    return WRONG_USAGE;
}

static int check(struct call *call) {
    if (!is_component(call->user))
        return wrong("not the name of a user: ", call->user);
    if (!is_component(call->function))
        return wrong("not the name of a function: ", call->function);
    /* Named or not, the default entry gets no argument. */
    if (call->entry && strcmp(call->entry, default_entry) == 0)
        call->entry = NULL;
    return DONE;
}

#ifdef FAASM_HOST_FULL

/*
 * The interface can't be asked how long a name is, and Faasm's own implementation writes all of it, whatever the length it
 * was given. So there is room for more than any file system lets a name be; a name that fills it is refused.
 */
enum { ROOM = 64 * 1024 };

/* A copy of the name that `get` writes; NULL if it does not end where it must, or there is no memory. */
static char *ask(void (*get)(char *, int)) {
    char *room = calloc(1, ROOM);
    if (!room)
        return NULL;
    get(room, ROOM);
    char *name = memchr(room, '\0', ROOM - 1) ? strdup(room) : NULL;
    free(room);
    return name;
}

/* The three names are needed until the process ends. */
int which_call(int argc, char **argv, struct call *call) {
    (void)argc, (void)argv;
    call->user = ask(faasm_get_py_user);
    call->function = ask(faasm_get_py_func);
    char *entry = ask(faasm_get_py_entry);
    if (!call->user || !call->function || !entry)
        return wrong("the host's name for user, function or entry is too long", "");
    if (!*call->function)
        return wrong("the host does not say which function it means", "");
    if (!*call->user)
        call->user = default_user;
    call->entry = *entry ? entry : NULL;
    return check(call);
}

#else

int which_call(int argc, char **argv, struct call *call) {
    char *name = NULL;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--entry") == 0) {
            if (++i == argc || !*argv[i])
                return wrong("--entry needs a name", "");
            call->entry = argv[i];
        } else if (argv[i][0] == '-') {
            return wrong("there is no option ", argv[i]);
        } else if (name) {
            return wrong("more than one function: ", argv[i]);
        } else {
            name = argv[i];
        }
    }
    if (!name)
        return wrong("which function?", "");

    char *slash = strchr(name, '/');
    if (slash)
        *slash = '\0';
    call->user = slash ? name : default_user;
    call->function = slash ? slash + 1 : name;
    return check(call);
}

#endif
