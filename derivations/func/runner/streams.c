/*
 * A function's input and output: Faasm's, or the standard streams.
 *
 * Both are bytes, and a NUL byte is nothing special. As on Faasm, the input can be read again and again, and the output is
 * what was written last: on the standard streams it is kept until the function has ended.
 */
#include "host.h"

#ifdef FAASM_HOST

PyObject *host_input(void) {
    int size = faasm_read_input(NULL, 0);
    if (size <= 0)
        return PyBytes_FromStringAndSize(NULL, 0);
    PyObject *input = PyBytes_FromStringAndSize(NULL, size);
    if (!input)
        return NULL;
    int got = faasm_read_input(PyBytes_AS_STRING(input), size);
    if (got == size)
        return input;
    PyErr_Format(PyExc_RuntimeError, "the host said that the input has %d bytes, and gave %d", size, got);
    Py_DECREF(input);
    return NULL;
}

int host_set_output(PyObject *output) {
    Py_ssize_t size = PyBytes_GET_SIZE(output);
    faasm_write_output(PyBytes_AS_STRING(output), (int)size);
    return 0;
}

int host_finish(void) { return 0; }

#else

static PyObject *input;
static PyObject *output;

/* Calls a method of a standard stream's buffer. */
static PyObject *on_buffer(const char *stream, const char *method, PyObject *argument) {
    PyObject *file = PySys_GetObject(stream); /* borrowed */
    PyObject *buffer = file ? PyObject_GetAttrString(file, "buffer") : NULL;
    PyObject *result = NULL;
    if (buffer && argument)
        result = PyObject_CallMethod(buffer, method, "O", argument);
    else if (buffer)
        result = PyObject_CallMethod(buffer, method, NULL);
    else if (!PyErr_Occurred())
        PyErr_Format(PyExc_RuntimeError, "there is no sys.%s", stream);
    Py_XDECREF(buffer);
    return result;
}

PyObject *host_input(void) {
    if (!input)
        input = on_buffer("__stdin__", "read", NULL);
    Py_XINCREF(input);
    return input;
}

int host_set_output(PyObject *given) {
    PyObject *before = output;
    Py_INCREF(given);
    output = given;
    Py_XDECREF(before);
    return 0;
}

/* Behind what the function printed. */
static int write_output(void) {
    PyObject *file = PySys_GetObject("__stdout__"); /* borrowed */
    PyObject *flushed = file ? PyObject_CallMethod(file, "flush", NULL) : NULL;
    PyObject *written = flushed ? on_buffer("__stdout__", "write", output) : NULL;
    if (!file)
        PyErr_SetString(PyExc_RuntimeError, "there is no sys.__stdout__");
    Py_XDECREF(flushed);
    Py_XDECREF(written);
    return written ? 0 : -1;
}

int host_finish(void) {
    int result = output ? write_output() : 0;
    Py_CLEAR(output);
    Py_CLEAR(input);
    return result;
}

#endif
