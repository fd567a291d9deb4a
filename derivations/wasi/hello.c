/* The smallest proof that the toolchain and the sysroot work together. */
#include <stdio.h>

int main(void) {
    puts("hello from wasm32-wasi");
    return 0;
}
