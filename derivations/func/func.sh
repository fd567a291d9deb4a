# func.wasm for plain WASI: our runner, with CPython linked into it.
#
# In:  $runner       runner.c
#      $sysroot      the WASI sysroot
#      $libpython    the static library and its headers
#      $host_python  CPython for the build machine
#      $imports      imports.py
#      $natives      natives.c, natives.h, natives.py
#      $native_packages  labels of packages' native modules, to be linked
#      $version      major.minor, e.g. 3.11
# Out: $out          python/py_func/function.wasm, where Faasm looks for it

. "$sysroot/cross.sh"
folder=$out/python/py_func
mkdir -p "$folder"

# Linked at -O0: at any other level the compiler driver runs wasm-opt by itself wherever there is one.
# A deep recursion that overflows the stack must trap, and not run into the data: so the stack comes first.
compile="$CC $KILN_POSIX_CPPFLAGS -I$libpython/include/python$version -I$natives -I. -std=c17 -Wall -Wextra -Werror -c"
fragments=$(for label in $native_packages; do eval "echo \"\$$label\""; done)
"$host_python/bin/python3" -I "$natives/natives.py" "$libpython" native_modules.inc archives $fragments
$compile "$natives/natives.c" -o natives.o
$compile "$runner" -o runner.o
$CC -O0 runner.o natives.o @archives -L"$libpython/lib" "-lpython$version" -lmpdec -lexpat $KILN_POSIX_LIBS -lm \
    -Wl,-z,stack-size=8388608 -Wl,--stack-first \
    -o function.wasm
$STRIP --strip-all function.wasm
chmod a-x function.wasm
cp function.wasm "$folder/function.wasm"

# It must run on any WASI runtime: nothing may be imported that WASI does not define.
"$host_python/bin/python3" -I "$imports" function.wasm wasi_snapshot_preview1
