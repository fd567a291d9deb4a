# How to compile for wasm32-wasi. Sourced, with $sysroot set, by the scripts that do.
#
# Sets CC, CXX, AR, RANLIB, NM, LD and STRIP. The compilers are commands of their own in /build/cross, so that what a
# program writes down about its compiler ("wasm32-wasi-clang") names neither the sysroot's place nor its options.

mkdir -p /build/cross
for language in clang clang++; do
    cat >"/build/cross/wasm32-wasi-$language" <<EOF
#!/bin/sh
exec $language-14 --target=wasm32-wasi --sysroot=$sysroot -resource-dir $sysroot/lib/clang -O2 \
    -ffile-prefix-map=$sysroot=/sysroot -ffile-prefix-map=/build=/source -Wno-unused-command-line-argument "\$@"
EOF
    chmod +x "/build/cross/wasm32-wasi-$language"
done

export PATH="/build/cross:$PATH"
export CC=wasm32-wasi-clang CXX=wasm32-wasi-clang++
export AR=llvm-ar-14 RANLIB=true NM=llvm-nm-14 LD=wasm-ld-14 STRIP=llvm-strip-14

# For programs that expect more of POSIX than wasi-libc has.
KILN_POSIX_CPPFLAGS="-isystem $sysroot/include/kiln-posix -D_WASI_EMULATED_SIGNAL -D_WASI_EMULATED_PROCESS_CLOCKS \
-D_WASI_EMULATED_GETPID -D_WASI_EMULATED_MMAN"
KILN_POSIX_LIBS="-lkiln-posix -lwasi-emulated-signal -lwasi-emulated-process-clocks -lwasi-emulated-getpid -lwasi-emulated-mman"

# For those that can't do without pthread.h. A library of its own: CPython 3.11 has its own stubs, and takes these for real.
KILN_PTHREAD_CPPFLAGS="-isystem $sysroot/include/kiln-pthread"
KILN_PTHREAD_LIBS="-lkiln-pthread"
