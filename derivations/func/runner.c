/*
 * func.wasm: an interpreter that runs one of the users' functions.
 *
 *     func.wasm [--entry NAME] [USER/]FUNCTION
 *
 * The function is /pyfuncs/USER/FUNCTION/function.py; USER is "python" unless it is given. Without --entry its
 * `faasm_main` is called, with no argument; an entry that is named is called with one argument, the function's input as
 * bytes. The input is standard input, the output standard output. What an entry returns, None or an integer, becomes the
 * exit status; the statuses from 120 on are the runner's own.
 *
 * Nothing is imported but wasi_snapshot_preview1.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "natives.h"

/* The exit statuses. A WASI program's must be below 126. */
enum status {
    DONE = 0,
    RAISED = 1,          /* the entry raised an exception that nobody caught; its traceback is on standard error */
    LAST_OF_FUNCTION = 119,
    WRONG_USAGE = 120,   /* the command line is not as described above */
    NOT_STARTED = 121,   /* the interpreter could not start: is the standard library there, and PYTHONHOME set? */
    NOT_FOUND = 122,     /* there is no such function */
    NOT_LOADED = 123,    /* function.py could not be read or compiled, or raised while it was loaded */
    NO_ENTRY = 124,      /* function.py has no such entry, or it is not callable */
    WRONG_RESULT = 125,  /* the entry returned something else than None or an integer from 0 to 119 */
};

static const char functions[] = "/pyfuncs";
static const char default_user[] = "python";
static const char default_entry[] = "faasm_main";

struct call {
    char *user;
    char *function;
    const char *entry; /* NULL: the default one, without an argument */
};

static const char *program = "function.wasm";

static int wrong_usage(const char *why, const char *what) {
    fprintf(stderr, "%s: %s%s\nusage: %s [--entry NAME] [USER/]FUNCTION\n", program, why, what, program);
    return WRONG_USAGE;
}

/* A user or a function is one component of a path. */
static int is_component(const char *name) {
    return *name && !strchr(name, '/') && strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

static int read_command_line(int argc, char **argv, struct call *call) {
    char *name = NULL;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--entry") == 0) {
            if (++i == argc || !*argv[i])
                return wrong_usage("--entry needs a name", "");
            call->entry = argv[i];
        } else if (argv[i][0] == '-') {
            return wrong_usage("there is no option ", argv[i]);
        } else if (name) {
            return wrong_usage("more than one function: ", argv[i]);
        } else {
            name = argv[i];
        }
    }
    if (!name)
        return wrong_usage("which function?", "");

    char *slash = strchr(name, '/');
    char *user = slash ? name : (char *)default_user;
    char *function = slash ? slash + 1 : name;
    if (slash)
        *slash = '\0';
    if (!is_component(user))
        return wrong_usage("not the name of a user: ", user);
    if (!is_component(function))
        return wrong_usage("not the name of a function: ", function);
    call->user = user;
    call->function = function;
    return DONE;
}

static int start_python(char *name) {
    if (register_native_modules() != 0) {
        fprintf(stderr, "%s: Python could not start: no memory\n", program);
        return NOT_STARTED;
    }
    PyConfig config;
    PyConfig_InitPythonConfig(&config);
    /* The arguments are the runner's, not Python's. */
    config.parse_argv = 0;
    config.install_signal_handlers = 0;
    char *arguments[] = {name};
    PyStatus status = PyConfig_SetBytesArgv(&config, 1, arguments);
    if (!PyStatus_Exception(status))
        status = Py_InitializeFromConfig(&config);
    PyConfig_Clear(&config);
    if (!PyStatus_Exception(status)) {
        if (make_native_modules_importable() == 0)
            return DONE;
        PyErr_Print();
        return NOT_STARTED;
    }
    fprintf(stderr, "%s: Python could not start: %s\n", program, status.err_msg ? status.err_msg : "unknown reason");
    return NOT_STARTED;
}

/* What the exception that is set means for the exit status, shown on standard error as Python would. */
static int raised(enum status otherwise) {
    if (PyErr_ExceptionMatches(PyExc_SystemExit)) {
        PyObject *type, *value, *traceback;
        PyErr_Fetch(&type, &value, &traceback);
        PyErr_NormalizeException(&type, &value, &traceback);
        PyObject *code = PyObject_GetAttrString(value, "code");
        int status = RAISED;
        if (code == Py_None) {
            status = DONE;
        } else if (code && PyLong_Check(code)) {
            long number = PyLong_AsLong(code);
            if (number >= 0 && number <= LAST_OF_FUNCTION)
                status = (int)number;
        } else if (code) {
            PyObject *text = PyObject_Str(code);
            const char *shown = text ? PyUnicode_AsUTF8(text) : NULL;
            fprintf(stderr, "%s\n", shown ? shown : "exit");
            Py_XDECREF(text);
        }
        PyErr_Clear();
        Py_XDECREF(code);
        Py_XDECREF(type);
        Py_XDECREF(value);
        Py_XDECREF(traceback);
        return status;
    }
    PyErr_Print();
    return otherwise;
}

/* Loads function.py as the module `function`, with its folder first on the path, as a script has it. */
static int load(const struct call *call, PyObject **module) {
    PyObject *folder = PyUnicode_FromFormat("%s/%s/%s", functions, call->user, call->function);
    PyObject *file = folder ? PyUnicode_FromFormat("%U/function.py", folder) : NULL;
    const char *path = file ? PyUnicode_AsUTF8(file) : NULL;
    PyObject *search = PySys_GetObject("path");
    struct stat found;
    int status = DONE;

    if (!path || !search) {
        status = raised(NOT_STARTED);
    } else if (stat(path, &found) != 0) {
        fprintf(stderr, "%s: no function %s of user %s: %s: %s\n", program, call->function, call->user, path, strerror(errno));
        status = NOT_FOUND;
    } else if (PyList_Insert(search, 0, folder) != 0 || !(*module = PyImport_ImportModule("function"))) {
        status = raised(NOT_LOADED);
    }
    Py_XDECREF(folder);
    Py_XDECREF(file);
    return status;
}

/* All of standard input, as bytes: NUL bytes are bytes like any other. */
static PyObject *read_input(void) {
    PyObject *in = PySys_GetObject("stdin"); /* borrowed */
    PyObject *buffer = in ? PyObject_GetAttrString(in, "buffer") : NULL;
    PyObject *input = buffer ? PyObject_CallMethod(buffer, "read", NULL) : NULL;
    Py_XDECREF(buffer);
    if (!input && !PyErr_Occurred())
        PyErr_SetString(PyExc_RuntimeError, "there is no standard input");
    return input;
}

/* The exit status that an entry's result stands for. */
static int status_of(PyObject *result, const char *entry) {
    if (result == Py_None)
        return DONE;
    int overflow = 0;
    long number = PyLong_Check(result) ? PyLong_AsLongAndOverflow(result, &overflow) : -1;
    if (PyLong_Check(result) && !overflow && number >= 0 && number <= LAST_OF_FUNCTION)
        return (int)number;
    PyObject *shown = PyObject_Repr(result);
    const char *text = shown ? PyUnicode_AsUTF8(shown) : NULL;
    fprintf(stderr, "%s: %s returned %.200s; it may return None, or an integer from 0 to %d\n", program, entry,
            text ? text : "an object that can't be shown", LAST_OF_FUNCTION);
    PyErr_Clear();
    Py_XDECREF(shown);
    return WRONG_RESULT;
}

static int call_entry(PyObject *module, const struct call *call) {
    const char *name = call->entry ? call->entry : default_entry;
    PyObject *entry = PyObject_GetAttrString(module, name);
    if (!entry || !PyCallable_Check(entry)) {
        fprintf(stderr, "%s: %s/%s/%s/function.py %s: %s\n", program, functions, call->user, call->function,
                entry ? "has an entry that can't be called" : "has no such entry", name);
        PyErr_Clear();
        Py_XDECREF(entry);
        return NO_ENTRY;
    }
    PyObject *result = NULL;
    if (!call->entry) {
        result = PyObject_CallNoArgs(entry);
    } else {
        PyObject *input = read_input();
        if (input)
            result = PyObject_CallOneArg(entry, input);
        Py_XDECREF(input);
    }
    Py_DECREF(entry);
    int status = result ? status_of(result, name) : raised(RAISED);
    Py_XDECREF(result);
    return status;
}

int main(int argc, char **argv) {
    struct call call = {0};
    int status = read_command_line(argc, argv, &call);
    if (status != DONE)
        return status;
    status = start_python(argc > 0 ? argv[0] : (char *)program);
    if (status != DONE)
        return status;

    PyObject *module = NULL;
    status = load(&call, &module);
    if (status == DONE)
        status = call_entry(module, &call);
    Py_XDECREF(module);
    /* Flushes standard output; if that fails the output is not what the function wrote. */
    if (Py_FinalizeEx() != 0 && status == DONE)
        status = RAISED;
    return status;
}
