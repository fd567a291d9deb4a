/*
 * How Faasm starts func.wasm.
 *
 * It calls `__wasm_call_ctors`, then `_faasm_zygote`, whose memory it keeps and from which later calls begin, then `_start`.
 * Its second runtime leaves the zygote out; any other WASI host calls `_start` and nothing else. wasi-libc's own `_start` would
 * run the constructors a second time, so this one looks first.
 */
#include <stdlib.h>

#include "host.h"

void __wasm_call_ctors(void);
int __main_void(void);

/* Volatile: the compiler runs constructors itself where it can, and this would be set from the start. */
static volatile int constructed;

/* One of the constructors. */
__attribute__((constructor)) static void note(void) { constructed = 1; }

static void construct(void) {
    if (!constructed)
        __wasm_call_ctors();
}

__attribute__((export_name("_faasm_zygote"))) int faasm_zygote(void) {
    construct();
    return start_python();
}

void _start(void) {
    construct();
    exit(__main_void());
}
