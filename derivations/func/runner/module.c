/*
 * The module `_faasm`: the host's functions, for pyfaasm.
 *
 * It has those that the profile has, and no others; `profile` says which that is. Everything that can be decided in Python
 * is decided there; here only what would make the host read or write outside a buffer is refused. Keys and names are text
 * without NUL characters, data are bytes.
 */
#include "host.h"

static PyObject *read_input(PyObject *self, PyObject *none) {
    (void)self, (void)none;
    return host_input();
}

static PyObject *write_output(PyObject *self, PyObject *output) {
    (void)self;
    if (!PyBytes_Check(output))
        return PyErr_Format(PyExc_TypeError, "the output must be bytes, not %.100s", Py_TYPE(output)->tp_name);
    if (host_set_output(output) != 0)
        return NULL;
    Py_RETURN_NONE;
}

#ifdef FAASM_HOST

static PyObject *state_size(PyObject *self, PyObject *arguments) {
    const char *key;
    (void)self;
    if (!PyArg_ParseTuple(arguments, "s:state_size", &key))
        return NULL;
    return PyLong_FromLong(faasm_read_state(key, NULL, 0));
}

/* The host writes the whole value, however much room it is told there is: so its size is asked for first. */
static PyObject *read_state(PyObject *self, PyObject *arguments) {
    const char *key;
    (void)self;
    if (!PyArg_ParseTuple(arguments, "s:read_state", &key))
        return NULL;
    int size = faasm_read_state(key, NULL, 0);
    if (size <= 0)
        return PyErr_Format(PyExc_KeyError, "there is no state `%s`", key);
    PyObject *value = PyBytes_FromStringAndSize(NULL, size);
    if (value)
        faasm_read_state(key, PyBytes_AS_STRING(value), size);
    return value;
}

static PyObject *write_state(PyObject *self, PyObject *arguments) {
    const char *key, *data;
    Py_ssize_t size;
    (void)self;
    if (!PyArg_ParseTuple(arguments, "sy#:write_state", &key, &data, &size))
        return NULL;
    faasm_write_state(key, data, (int)size);
    Py_RETURN_NONE;
}

static PyObject *push_state(PyObject *self, PyObject *arguments) {
    const char *key;
    (void)self;
    if (!PyArg_ParseTuple(arguments, "s:push_state", &key))
        return NULL;
    faasm_push_state(key);
    Py_RETURN_NONE;
}

static PyObject *pull_state(PyObject *self, PyObject *arguments) {
    const char *key;
    int size;
    (void)self;
    if (!PyArg_ParseTuple(arguments, "si:pull_state", &key, &size))
        return NULL;
    faasm_pull_state(key, size);
    Py_RETURN_NONE;
}

static PyObject *await_call(PyObject *self, PyObject *arguments) {
    unsigned int call;
    (void)self;
    if (!PyArg_ParseTuple(arguments, "I:await_call", &call))
        return NULL;
    return PyLong_FromLong(faasm_await_call((int)call));
}

#endif
#ifdef FAASM_HOST_FULL

/* The host trusts these numbers. */
static int is_within(int total, int offset, Py_ssize_t size) {
    if (offset >= 0 && size >= 0 && offset <= total && size <= total - offset)
        return 1;
    PyErr_Format(PyExc_ValueError, "%zd bytes at offset %d are not within a state of %d bytes", size, offset, total);
    return 0;
}

static PyObject *read_state_offset(PyObject *self, PyObject *arguments) {
    const char *key;
    int total, offset, size;
    (void)self;
    if (!PyArg_ParseTuple(arguments, "siii:read_state_offset", &key, &total, &offset, &size))
        return NULL;
    PyObject *part = is_within(total, offset, size) ? PyBytes_FromStringAndSize(NULL, size) : NULL;
    if (part)
        faasm_read_state_offset(key, total, offset, PyBytes_AS_STRING(part), size);
    return part;
}

static PyObject *write_state_offset(PyObject *self, PyObject *arguments) {
    const char *key, *data;
    int total, offset;
    Py_ssize_t size;
    (void)self;
    if (!PyArg_ParseTuple(arguments, "siiy#:write_state_offset", &key, &total, &offset, &data, &size))
        return NULL;
    if (!is_within(total, offset, size))
        return NULL;
    faasm_write_state_offset(key, total, offset, data, (int)size);
    Py_RETURN_NONE;
}

static PyObject *push_state_partial(PyObject *self, PyObject *arguments) {
    const char *key;
    (void)self;
    if (!PyArg_ParseTuple(arguments, "s:push_state_partial", &key))
        return NULL;
    faasm_push_state_partial(key);
    Py_RETURN_NONE;
}

static PyObject *chain(PyObject *self, PyObject *arguments) {
    const char *entry, *input;
    Py_ssize_t size;
    (void)self;
    if (!PyArg_ParseTuple(arguments, "sy#:chain", &entry, &input, &size))
        return NULL;
    return PyLong_FromUnsignedLong((unsigned int)faasm_chain_py(entry, input, (int)size));
}

int host_flag(const char *name) { return faasm_conf_flag(name) != 0; }

#else

int host_flag(const char *name) {
    (void)name;
    return 0;
}

#endif

static PyObject *conf_flag(PyObject *self, PyObject *arguments) {
    const char *name;
    (void)self;
    if (!PyArg_ParseTuple(arguments, "s:conf_flag", &name))
        return NULL;
    return PyBool_FromLong(host_flag(name));
}

static PyMethodDef methods[] = {
    {"read_input", read_input, METH_NOARGS, "The function's input."},
    {"write_output", write_output, METH_O, "Sets the function's output."},
    {"conf_flag", conf_flag, METH_VARARGS, "(name): whether the host's configuration has this switch on."},
#ifdef FAASM_HOST
    {"state_size", state_size, METH_VARARGS, "(key): a state's size; 0 if there is none."},
    {"read_state", read_state, METH_VARARGS, "(key): the whole value."},
    {"write_state", write_state, METH_VARARGS, "(key, data)"},
    {"push_state", push_state, METH_VARARGS, "(key)"},
    {"pull_state", pull_state, METH_VARARGS, "(key, size)"},
    {"await_call", await_call, METH_VARARGS, "(call): waits for it; its exit status."},
#endif
#ifdef FAASM_HOST_FULL
    {"read_state_offset", read_state_offset, METH_VARARGS, "(key, total, offset, size)"},
    {"write_state_offset", write_state_offset, METH_VARARGS, "(key, total, offset, data)"},
    {"push_state_partial", push_state_partial, METH_VARARGS, "(key)"},
    {"chain", chain, METH_VARARGS, "(entry, input): calls another entry of this function; the call's number."},
#endif
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "_faasm",
    .m_doc = "The functions of the host, for pyfaasm.",
    .m_size = -1,
    .m_methods = methods,
};

#if defined(FAASM_HOST_FULL)
#define PROFILE "faasm"
#elif defined(FAASM_HOST)
#define PROFILE "faasm-minimal"
#else
#define PROFILE "wasi"
#endif

PyMODINIT_FUNC PyInit__faasm(void) {
    PyObject *module = PyModule_Create(&definition);
    if (module && PyModule_AddStringConstant(module, "profile", PROFILE) != 0)
        Py_CLEAR(module);
    return module;
}
