# func.wasm: our runner, with CPython linked into it.
#
# In:  $runner       our sources
#      $sysroot      the WASI sysroot
#      $libpython    the static library, its headers, and what it is to be linked with
#      $host_python  CPython for the build machine
#      $imports      imports.py
#      $wasm_reader  the module that it reads WebAssembly with
#      $interface    interface.json: the functions of Faasm
#      $profile      wasi, faasm or faasm-minimal
#      $natives      natives.c, natives.h, natives.py
#      $frozen       frozen.c, frozen.h, frozen.py
#      $stdlib       the standard library, compiled
#      $native_packages  labels of packages' native modules, to be linked
#      $version      major.minor, e.g. 3.11
# Out: $out          python/py_func/function.wasm, where Faasm looks for it

. "$sysroot/cross.sh"
folder=$out/python/py_func
mkdir -p "$folder"

# What the profile adds: which functions of the host there are, and how it is started (start.c).
defines='' start='' sources='runner call streams module'
case $profile in
wasi) ;;
faasm) defines=-DFAASM_HOST ;;
faasm-minimal) defines='-DFAASM_HOST -DFAASM_HOST_MINIMAL' ;;
*) echo "there is no profile $profile" >&2; exit 1 ;;
esac
if [ "$profile" != wasi ]; then
    sources="$sources start"
    start='-nostartfiles -Wl,--export=__wasm_call_ctors -Wl,--export=__heap_base -Wl,--export=__data_end'
fi

# The native modules of packages, and the table that makes them known. NDEBUG as for libpython: the assertions in its headers would
# name their files.
compile="$CC $KILN_POSIX_CPPFLAGS -I$libpython/include/python$version -I$natives -I$frozen -I. $defines -DNDEBUG -std=c17 -Wall -Wextra -Werror -c"
fragments=$(for label in $native_packages; do eval "echo \"\$$label\""; done)
"$host_python/bin/python3" -I "$natives/natives.py" "$libpython" native_modules.inc archives $fragments
$compile "$natives/natives.c" -o natives.o

# What every start imports. (`python3 -X importtime` lists it; what is frozen is not looked for in folders.)
"$host_python/bin/python3" -I "$frozen/frozen.py" "$stdlib/lib/python$version" frozen.inc encodings encodings.aliases encodings.utf_8
$compile "$frozen/frozen.c" -o frozen.o

objects="natives.o frozen.o"
for source in $sources; do
    $compile "$runner/$source.c" -o "$source.o"
    objects="$objects $source.o"
done

# Linked at -O0: at any other level the compiler driver runs wasm-opt by itself wherever there is one.
# A deep recursion that overflows the stack must trap, and not run into the data: so the stack comes first.
$CC -O0 $objects @archives -L"$libpython/lib" $(cat "$libpython/lib/link-options") $KILN_POSIX_LIBS -lm \
    -Wl,-z,stack-size=8388608 -Wl,--stack-first $start \
    -o function.wasm
$STRIP --strip-all function.wasm
chmod a-x function.wasm
cp function.wasm "$folder/function.wasm"

# The profile's imports, exactly, and what Faasm calls.
PYTHONPATH=$wasm_reader "$host_python/bin/python3" -B "$imports" function.wasm "$profile" "$interface"
