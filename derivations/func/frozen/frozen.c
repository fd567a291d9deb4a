/*
 * Modules that every start imports, and that CPython does not freeze itself: their byte code is in the program.
 *
 * A host is slow at what comes before a module is read: the folder that it is in is listed, and each of its entries looked at.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <sys/stat.h>

#include "frozen.h"

/* Older versions have one table of all frozen modules, and do not say where the files of a frozen package are. */
#if PY_VERSION_HEX >= 0x030b0000

#include "frozen.inc"

static const struct _frozen modules[] = {MODULES {0}};

void freeze_modules(void) { PyImport_FrozenModules = modules; }

int standard_library_is_there(void) {
    PyObject *folder = PySys_GetObject("_stdlib_dir");
    const char *path = folder && PyUnicode_Check(folder) ? PyUnicode_AsUTF8(folder) : NULL;
    struct stat found;
    return path && stat(path, &found) == 0;
}

#else

void freeze_modules(void) {}

int standard_library_is_there(void) { return 1; }

#endif
