/*
 * func.wasm: an interpreter that runs one of the users' functions.
 *
 * The function is /pyfuncs/USER/FUNCTION/function.py. Its `faasm_main` is called with no argument; another entry that is
 * named is called with one argument, the function's input as bytes. What an entry returns, None or an integer, becomes the
 * exit status; the statuses from 120 on are the runner's own (status.h).
 *
 * Where the names come from, and where input and output go, is the profile's business: host.h.
 */
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

#include "frozen.h"
#include "host.h"
#include "natives.h"
#include "status.h"

static const char functions[] = "/pyfuncs";
static const char default_entry[] = "faasm_main";

/* The modules that are linked into func.wasm, beside those of libpython: the packages' and ours. */
static int add_modules(void) {
    if (register_native_modules() != 0)
        return -1;
    return PyImport_AppendInittab("_faasm", PyInit__faasm);
}

/* What a host that keeps a started interpreter wants to have imported in it. Failing to do so is no failure of a call. */
static void preload(void) {
    if (!host_flag("PYTHON_PRELOAD"))
        return;
    PyObject *module = PyImport_ImportModule("pyfaasm.core");
    if (!module)
        PyErr_Print();
    Py_XDECREF(module);
}

int start_python(void) {
    if (Py_IsInitialized())
        return DONE;
    if (add_modules() != 0) {
        fprintf(stderr, PROGRAM ": Python could not start: no memory\n");
        return NOT_STARTED;
    }
    freeze_modules();
    PyConfig config;
    PyConfig_InitPythonConfig(&config);
    /* The arguments are the runner's, not Python's. */
    config.parse_argv = 0;
    config.install_signal_handlers = 0;
    char *arguments[] = {PROGRAM};
    PyStatus status = PyConfig_SetBytesArgv(&config, 1, arguments);
    if (!PyStatus_Exception(status))
        status = Py_InitializeFromConfig(&config);
    PyConfig_Clear(&config);
    if (PyStatus_Exception(status)) {
        fprintf(stderr, PROGRAM ": Python could not start: %s\n", status.err_msg ? status.err_msg : "unknown reason");
        return NOT_STARTED;
    }
    if (!standard_library_is_there()) {
        fprintf(stderr, PROGRAM ": Python could not start: there is no standard library\n");
        return NOT_STARTED;
    }
    if (make_native_modules_importable() != 0) {
        PyErr_Print();
        return NOT_STARTED;
    }
    preload();
    return DONE;
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
        fprintf(stderr, PROGRAM ": no function %s of user %s: %s: %s\n", call->function, call->user, path, strerror(errno));
        status = NOT_FOUND;
    } else if (PyList_Insert(search, 0, folder) != 0 || !(*module = PyImport_ImportModule("function"))) {
        status = raised(NOT_LOADED);
    }
    Py_XDECREF(folder);
    Py_XDECREF(file);
    return status;
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
    fprintf(stderr, PROGRAM ": %s returned %.200s; it may return None, or an integer from 0 to %d\n", entry,
            text ? text : "an object that can't be shown", LAST_OF_FUNCTION);
    PyErr_Clear();
    Py_XDECREF(shown);
    return WRONG_RESULT;
}

static int call_entry(PyObject *module, const struct call *call) {
    const char *name = call->entry ? call->entry : default_entry;
    PyObject *entry = PyObject_GetAttrString(module, name);
    if (!entry || !PyCallable_Check(entry)) {
        fprintf(stderr, PROGRAM ": %s/%s/%s/function.py %s: %s\n", functions, call->user, call->function,
                entry ? "has an entry that can't be called" : "has no such entry", name);
        PyErr_Clear();
        Py_XDECREF(entry);
        return NO_ENTRY;
    }
    PyObject *result = NULL;
    if (!call->entry) {
        result = PyObject_CallObject(entry, NULL);
    } else {
        PyObject *input = host_input();
        if (input)
            result = PyObject_CallFunctionObjArgs(entry, input, NULL);
        Py_XDECREF(input);
    }
    Py_DECREF(entry);
    int status = result ? status_of(result, name) : raised(RAISED);
    Py_XDECREF(result);
    return status;
}

int main(int argc, char **argv) {
    struct call call = {0};
    int status = which_call(argc, argv, &call);
    if (status != DONE)
        return status;
    status = start_python();
    if (status != DONE)
        return status;

    PyObject *module = NULL;
    status = load(&call, &module);
    if (status == DONE)
        status = call_entry(module, &call);
    Py_XDECREF(module);
    /* If the output can't be handed over, or what was printed can't be flushed, it is not what the function wrote. */
    if (host_finish() != 0) {
        PyErr_Print();
        status = status == DONE ? RAISED : status;
    }
    if (Py_FinalizeEx() != 0 && status == DONE)
        status = RAISED;
    return status;
}
