/* The exit statuses. A WASI program's must be below 126. docs/runtime.md has them for users. */
#ifndef STATUS_H
#define STATUS_H

enum status {
    DONE = 0,
    RAISED = 1,          /* the entry raised an exception that nobody caught; its traceback is on standard error */
    LAST_OF_FUNCTION = 119,
    WRONG_USAGE = 120,   /* the command line is wrong, or the host does not say which function it means */
    NOT_STARTED = 121,   /* the interpreter could not start: is the standard library there, and PYTHONHOME set? */
    NOT_FOUND = 122,     /* there is no such function */
    NOT_LOADED = 123,    /* function.py could not be read or compiled, or raised while it was loaded */
    NO_ENTRY = 124,      /* function.py has no such entry, or it is not callable */
    WRONG_RESULT = 125,  /* the entry returned something else than None or an integer from 0 to 119 */
};

#define PROGRAM "function.wasm"

#endif
