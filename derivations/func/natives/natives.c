/*
 * The native modules of packages.
 *
 * natives.py writes native_modules.inc: NATIVE(number, full name, symbol of the init function) for each. Python knows them as
 * built-in modules, and was not made for built-in modules in packages; two things are put right here.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "natives.h"

/* What the import system tells PyModule_Create about the module that it is just loading from a shared library. */
extern const char *_Py_PackageContext;

/* A module's __name__ is to have its package in it: PyModule_Create knows only what the C source calls the module. */
__attribute__((unused)) static PyObject *with_full_name(const char *name, PyObject *(*init)(void)) {
    const char *before = _Py_PackageContext;
    _Py_PackageContext = name;
    PyObject *module = init();
    _Py_PackageContext = before;
    return module;
}

#define NATIVE(number, name, symbol) \
    extern PyObject *init_##number(void) __asm__(symbol); \
    static PyObject *make_##number(void) { return with_full_name(name, init_##number); }
#include "native_modules.inc"
#undef NATIVE

#define NATIVE(number, name, symbol) {name, make_##number},
static struct _inittab modules[] = {
#include "native_modules.inc"
    {NULL, NULL},
};
#undef NATIVE

int register_native_modules(void) { return PyImport_ExtendInittab(modules); }

/*
 * Up to 3.11.6 BuiltinImporter looks for top-level modules only: it is asked for others with their package's path.
 *
 * The function belongs to importlib by all that can be seen of it: tracebacks leave importlib's frames out, and debuggers skip them.
 */
static const char importable[] =
    "from _frozen_importlib import BuiltinImporter\n"
    "def find_spec(cls, fullname, path=None, target=None, *, find=BuiltinImporter.find_spec):\n"
    "    return find(fullname, path if '.' not in fullname else None, target)\n"
    "BuiltinImporter.find_spec = classmethod(find_spec)\n";

int make_native_modules_importable(void) {
    /* Before 3.10 code that is run like this has no builtin functions of its own. */
    PyObject *names = Py_BuildValue("{sssO}", "__name__", "importlib._bootstrap", "__builtins__", PyEval_GetBuiltins());
    PyObject *code = names ? Py_CompileString(importable, "<frozen importlib._bootstrap>", Py_file_input) : NULL;
    PyObject *done = code ? PyEval_EvalCode(code, names, names) : NULL;
    Py_XDECREF(names);
    Py_XDECREF(code);
    Py_XDECREF(done);
    return done ? 0 : -1;
}
