/* See README.md. */
#include <dlfcn.h>
#include <ffi.h>
#include <stdalign.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/* Weak, for CPython has its own before 3.10. */
#define TYPE(name, c_type, kind) __attribute__((weak)) ffi_type ffi_type_##name = {sizeof(c_type), alignof(c_type), kind, NULL};

/* As in libffi, void has a size. */
TYPE(void, char, FFI_TYPE_VOID)
TYPE(float, float, FFI_TYPE_FLOAT)
TYPE(double, double, FFI_TYPE_DOUBLE)
TYPE(longdouble, long double, FFI_TYPE_LONGDOUBLE)
TYPE(pointer, void *, FFI_TYPE_POINTER)
TYPE(uint8, uint8_t, FFI_TYPE_UINT8)
TYPE(sint8, int8_t, FFI_TYPE_SINT8)
TYPE(uint16, uint16_t, FFI_TYPE_UINT16)
TYPE(sint16, int16_t, FFI_TYPE_SINT16)
TYPE(uint32, uint32_t, FFI_TYPE_UINT32)
TYPE(sint32, int32_t, FFI_TYPE_SINT32)
TYPE(uint64, uint64_t, FFI_TYPE_UINT64)
TYPE(sint64, int64_t, FFI_TYPE_SINT64)

enum { MOST_ARGUMENTS = 6 };

/* Whether WebAssembly passes it as an i32. */
static int is_word(const ffi_type *type) {
    return (type->type >= FFI_TYPE_UINT8 && type->type <= FFI_TYPE_SINT32) || type->type == FFI_TYPE_POINTER;
}

ffi_status ffi_prep_cif(ffi_cif *cif, ffi_abi abi, unsigned nargs, ffi_type *rtype, ffi_type **arg_types) {
    if (abi != FFI_DEFAULT_ABI)
        return FFI_BAD_ABI;
    if (nargs > MOST_ARGUMENTS || !(is_word(rtype) || rtype->type == FFI_TYPE_VOID))
        return FFI_BAD_TYPEDEF;
    for (unsigned i = 0; i < nargs; i++)
        if (!is_word(arg_types[i]))
            return FFI_BAD_ARGTYPE;
    *cif = (ffi_cif){nargs, arg_types, rtype};
    return FFI_OK;
}

static int32_t read_word(const ffi_type *type, const void *at) {
    switch (type->type) {
    case FFI_TYPE_UINT8: return *(const uint8_t *)at;
    case FFI_TYPE_SINT8: return *(const int8_t *)at;
    case FFI_TYPE_UINT16: return *(const uint16_t *)at;
    case FFI_TYPE_SINT16: return *(const int16_t *)at;
    default: return *(const int32_t *)at;
    }
}

/* `function` as one that takes i32s, as many as there are arguments, and gives `result`. */
#define AS(result, ...) ((result(*)(__VA_ARGS__))function)
#define W int32_t
#define CALL(result) \
    switch (count) { \
    case 0: return AS(result, void)(); \
    case 1: return AS(result, W)(w[0]); \
    case 2: return AS(result, W, W)(w[0], w[1]); \
    case 3: return AS(result, W, W, W)(w[0], w[1], w[2]); \
    case 4: return AS(result, W, W, W, W)(w[0], w[1], w[2], w[3]); \
    case 5: return AS(result, W, W, W, W, W)(w[0], w[1], w[2], w[3], w[4]); \
    case 6: return AS(result, W, W, W, W, W, W)(w[0], w[1], w[2], w[3], w[4], w[5]); \
    default: abort(); \
    }

static int32_t call_for_word(void *function, unsigned count, const int32_t *w) { CALL(int32_t) }
static void call_for_nothing(void *function, unsigned count, const int32_t *w) { CALL(void) }

void ffi_call(ffi_cif *cif, void *function, void *result, void **arguments) {
    int32_t words[MOST_ARGUMENTS];
    for (unsigned i = 0; i < cif->nargs; i++)
        words[i] = read_word(cif->arg_types[i], arguments[i]);
    if (cif->rtype->type == FFI_TYPE_VOID) {
        call_for_nothing(function, cif->nargs, words);
    } else {
        int32_t word = call_for_word(function, cif->nargs, words);
        *(ffi_arg *)result = (ffi_arg)read_word(cif->rtype, &word);
    }
}

void *ffi_closure_alloc(size_t size, void **code) {
    *code = NULL;
    return malloc(size);
}

void ffi_closure_free(void *closure) { free(closure); }

ffi_status ffi_prep_closure(ffi_closure *closure, ffi_cif *cif, void (*function)(ffi_cif *, void *, void **, void *), void *data) {
    return ffi_prep_closure_loc(closure, cif, function, data, NULL);
}

ffi_status ffi_prep_closure_loc(ffi_closure *closure, ffi_cif *cif, void (*function)(ffi_cif *, void *, void **, void *), void *data,
                                void *code) {
    (void)closure, (void)cif, (void)function, (void)data, (void)code;
    return FFI_BAD_ABI;
}

static char the_program;
static char last_error[256];

static void *not_there(const char *name, const char *why) {
    snprintf(last_error, sizeof last_error, "%s: %s", name, why);
    return NULL;
}

void *dlopen(const char *name, int mode) {
    (void)mode;
    return name ? not_there(name, "WASI programs can't load libraries") : &the_program;
}

void *dlsym(void *library, const char *name) {
    (void)library;
    return not_there(name, "WASI programs can't find functions by name");
}

int dlclose(void *library) {
    (void)library;
    return 0;
}

char *dlerror(void) { return last_error; }
