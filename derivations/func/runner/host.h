/*
 * What the runner and the module `_faasm` ask of the host.
 *
 * A profile is chosen when this is compiled:
 *
 *     FAASM_HOST             the host is Faasm: input, output, state and calls are its functions, imported from `env`
 *     FAASM_HOST_MINIMAL     also given for Faasm's second runtime, which has fewer of them
 *     neither                the host is any WASI runtime: input and output are the standard streams
 *
 * ../interface.json has the same functions; the build compares it with what func.wasm imports.
 */
#ifndef HOST_H
#define HOST_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#if defined(FAASM_HOST_MINIMAL) && !defined(FAASM_HOST)
#error "FAASM_HOST_MINIMAL goes with FAASM_HOST"
#endif

#if defined(FAASM_HOST) && !defined(FAASM_HOST_MINIMAL)
#define FAASM_HOST_FULL
#endif

/* Which of the users' functions is to run. */
struct call {
    const char *user;
    const char *function;
    const char *entry; /* NULL: the default one, without an argument */
};

/* Finds that out, from the host or from the command line; returns an exit status. (call.c) */
int which_call(int argc, char **argv, struct call *call);

/* The function's input as bytes: a new reference, the same bytes each time. NULL with an exception set. (streams.c) */
PyObject *host_input(void);

/* Takes `output`, bytes, as the function's output, in place of what was given before; 0, or -1 with an exception set. (streams.c) */
int host_set_output(PyObject *output);

/* Hands the output over when the function has ended; 0, or -1 with an exception set. (streams.c) */
int host_finish(void);

/* Whether the host's configuration has this switch on. (module.c) */
int host_flag(const char *name);

/* The module `_faasm`. (module.c) */
PyMODINIT_FUNC PyInit__faasm(void);

/* Starts the interpreter if it does not run yet; returns an exit status. (runner.c) */
int start_python(void);

#ifdef FAASM_HOST

#define FROM_HOST(name) __attribute__((import_module("env"), import_name("__faasm_" #name)))

/* A buffer of length 0 asks for the size. */
int faasm_read_input(void *buffer, int length) FROM_HOST(read_input);
void faasm_write_output(const void *output, int length) FROM_HOST(write_output);
int faasm_read_state(const char *key, void *buffer, int length) FROM_HOST(read_state);
void faasm_write_state(const char *key, const void *data, int length) FROM_HOST(write_state);
void faasm_push_state(const char *key) FROM_HOST(push_state);
void faasm_pull_state(const char *key, int length) FROM_HOST(pull_state);
int faasm_await_call(int call) FROM_HOST(await_call);

#ifdef FAASM_HOST_FULL
void faasm_read_state_offset(const char *key, int total, int offset, void *buffer, int length) FROM_HOST(read_state_offset);
void faasm_write_state_offset(const char *key, int total, int offset, const void *data, int length) FROM_HOST(write_state_offset);
void faasm_push_state_partial(const char *key) FROM_HOST(push_state_partial);
int faasm_chain_py(const char *entry, const void *input, int length) FROM_HOST(chain_py);
void faasm_get_py_user(char *buffer, int length) FROM_HOST(get_py_user);
void faasm_get_py_func(char *buffer, int length) FROM_HOST(get_py_func);
void faasm_get_py_entry(char *buffer, int length) FROM_HOST(get_py_entry);
int faasm_conf_flag(const char *name) FROM_HOST(conf_flag);
#endif

#endif
#endif
