/* What CPython's _ctypes uses of libffi, by libffi's names. README.md says what can be called with it. */
#ifndef KILN_FFI_H
#define KILN_FFI_H

#include <stddef.h>

typedef struct ffi_type {
    size_t size;
    unsigned short alignment;
    unsigned short type;
    struct ffi_type **elements; /* of a structure, with NULL at the end */
} ffi_type;

enum {
    FFI_TYPE_VOID,
    FFI_TYPE_FLOAT,
    FFI_TYPE_DOUBLE,
    FFI_TYPE_LONGDOUBLE,
    FFI_TYPE_UINT8,
    FFI_TYPE_SINT8,
    FFI_TYPE_UINT16,
    FFI_TYPE_SINT16,
    FFI_TYPE_UINT32,
    FFI_TYPE_SINT32,
    FFI_TYPE_UINT64,
    FFI_TYPE_SINT64,
    FFI_TYPE_POINTER,
    FFI_TYPE_STRUCT,
};

extern ffi_type ffi_type_void, ffi_type_float, ffi_type_double, ffi_type_longdouble, ffi_type_pointer;
extern ffi_type ffi_type_uint8, ffi_type_sint8, ffi_type_uint16, ffi_type_sint16;
extern ffi_type ffi_type_uint32, ffi_type_sint32, ffi_type_uint64, ffi_type_sint64;

#define ffi_type_uchar ffi_type_uint8
#define ffi_type_schar ffi_type_sint8
#define ffi_type_ushort ffi_type_uint16
#define ffi_type_sshort ffi_type_sint16
#define ffi_type_uint ffi_type_uint32
#define ffi_type_sint ffi_type_sint32
#define ffi_type_ulong ffi_type_uint32
#define ffi_type_slong ffi_type_sint32

typedef enum { FFI_OK, FFI_BAD_TYPEDEF, FFI_BAD_ABI, FFI_BAD_ARGTYPE } ffi_status;
typedef enum { FFI_DEFAULT_ABI = 1 } ffi_abi;

/* What an integer result is widened to. */
typedef unsigned long ffi_arg;

typedef struct {
    unsigned nargs;
    ffi_type **arg_types;
    ffi_type *rtype;
} ffi_cif;

typedef struct {
    void *unused;
} ffi_closure;

ffi_status ffi_prep_cif(ffi_cif *cif, ffi_abi abi, unsigned nargs, ffi_type *rtype, ffi_type **arg_types);
void ffi_call(ffi_cif *cif, void *function, void *result, void **arguments);

/* A closure can be had, but not made to call anything: FFI_BAD_ABI. */
void *ffi_closure_alloc(size_t size, void **code);
void ffi_closure_free(void *closure);
ffi_status ffi_prep_closure(ffi_closure *closure, ffi_cif *cif, void (*function)(ffi_cif *, void *, void **, void *), void *data);
ffi_status ffi_prep_closure_loc(ffi_closure *closure, ffi_cif *cif, void (*function)(ffi_cif *, void *, void **, void *), void *data,
                                void *code);

#endif
