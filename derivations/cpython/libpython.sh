# CPython as a static library for wasm32-wasi, and its standard library.
#
# In:  $src          CPython's sources
#      $changes      prepare.sh, and what it needs
#      $patches      the changes of this version
#      $wasi_patches, $own_patches  further ones, for WASI alone; the second, if there are any, for this version alone
#      $added        files that are added to the sources
#      $archives     what else of this version's Makefile is to be made and linked
#      $libraries    linker options for those, and for libraries of the sysroot that this version needs
#      $sysroot      the WASI sysroot
#      $zlib, $bzip2, $xz, $sqlite, $ffi  the libraries that modules need
#      $host_python  CPython of the same version for the build machine
#      $bytecode     bytecode.py
#      $report       report.py
#      $signatures   signatures.py
#      $wasm_reader  the module that it reads WebAssembly with
#      $version      major.minor, e.g. 3.11
#      $traps        `refuse` or `report`: what is done if signatures.py finds something
#      $left_out     what of the standard library is not installed
# Out: $out          lib/libpythonX.Y.a and the libraries that it needs, lib/link-options, include/pythonX.Y, modules.json
#      $stdlib       lib/pythonX.Y, as it lies in the runtime
#
# Modules that need still other libraries are left out; modules.json says of each module what became of it, and why.

. "$sysroot/cross.sh"
. "$changes/prepare.sh"
cp -R "$added/." .
chmod -R u+w .

# configure writes the commands it was given into files that are installed: they go by name, not by store path.
mkdir /build/bin
ln -s "$host_python/bin/python3" "/build/bin/python$version"
PATH=/build/bin:$PATH

# The libraries in one place, where configure finds them by itself.
mkdir /build/libs
for library in "$zlib" "$bzip2" "$xz" "$sqlite"; do
    cp -R "$library"/. /build/libs/
    chmod -R u+w /build/libs
done
needed_libraries="-lz -lbz2 -llzma -lsqlite3 -lkiln-ffi"
needed_modules="_bz2 _ctypes _lzma _sqlite3 zlib"
cp "$ffi"/lib/* /build/libs/lib/

# Which modules are built in beside those that upstream's Setup names. A line that begins with `?` is for versions that have the module.
libmpdec=$(cd Modules && echo _decimal/libmpdec/*.c)
sed -i "s,@ffi@,$ffi,; s,@libmpdec@,$libmpdec," Modules/Setup.local
awk '/^[?]/ { if (system("test -e Modules/" $2)) next; sub(/^[?]/, "") } { print }' Modules/Setup.local >Setup.local
mv Setup.local Modules/Setup.local

# Locks and keys are CPython's own stubs. setjmp.h has only a type, memfd_create only a
# declaration. fork and its relatives are there only to let other programs link: without them
# Python knows by itself that it can't start processes.
export CONFIG_SITE=Tools/wasm/config.site-wasm32-wasi
./configure \
    --host=wasm32-unknown-wasi --build=x86_64-linux-gnu --with-build-python="/build/bin/python$version" \
    --prefix=/ \
    --with-ensurepip=no \
    --disable-test-modules \
    ac_cv_header_setjmp_h=no ac_cv_func_memfd_create=no \
    ac_cv_func_fork=no ac_cv_func_vfork=no ac_cv_func_execv=no ac_cv_func_wait=no ac_cv_func_waitpid=no \
    HOSTRUNNER=true PKG_CONFIG=false READELF=true \
    CPPFLAGS="$KILN_POSIX_CPPFLAGS -I/build/libs/include" \
    LDFLAGS=-L/build/libs/lib \
    LIBS="$KILN_POSIX_LIBS" \
    ARFLAGS=rcD \
    OPT='-DNDEBUG -fwrapv -O2 -Wall'

# First every object that can be made. A module of which one can't is left out of the library, and reported: later versions heed the word
# `disabled`, for earlier ones it must not be in the list.
objects=$(sed -n 's/^MODOBJS=//p' Makefile)
make -k -j "$KILN_CORES" $objects 2>errors.log || true
cat errors.log >&2
"/build/bin/python$version" -I "$report" failed . errors.log >failed.json
"/build/bin/python$version" -I -c '
import json
failed = json.load(open("failed.json"))
if failed:
    with open("Modules/Setup.local") as file:
        lines = [line for line in file if line.split()[:1] not in [[name] for name in failed]]
    with open("Modules/Setup.local", "w") as file:
        file.write("".join(lines) + "*disabled*\n" + "\n".join(failed) + "\n")
'

make -j "$KILN_CORES" "libpython$version.a" $archives pybuilddir.txt
PYTHONPATH=$wasm_reader "/build/bin/python$version" -B "$signatures" "libpython$version.a" "$traps"

mkdir -p "$out/lib" "$out/include"
cp "libpython$version.a" $archives /build/libs/lib/*.a "$out/lib/"
echo "-lpython$version $libraries $needed_libraries" >"$out/lib/link-options"
make DESTDIR=/build/install inclinstall
cp -R "/build/install/include/python$version" "$out/include/"
cp pyconfig.h "$out/include/python$version/"
"/build/bin/python$version" -I "$report" report . failed.json $needed_modules >"$out/modules.json"

# The standard library without its test suites, and compiled. None of it is a program to be run by its `#!` line.
library=$stdlib/lib/python$version
config=$library/config-$version-wasm32-wasi
mkdir -p "$config"
cp -R Lib/. "$library"
cp LICENSE "$library/LICENSE.txt"
(cd "$library" && rm -rf $left_out)
find "$library" \( -name test -o -name tests -o -name idle_test -o -name __pycache__ \) -prune -exec rm -rf {} +
find "$library" -type f ! -name '*.so' -exec chmod a-x {} +
neutral="s,$sysroot,/sysroot,g; s,$ffi,/ffi,g; s,/build/libs,/libs,g; s,/build/python,/python,g; s,/build/bin/,,g"
sed "$neutral" Makefile >"$config/Makefile"
sed "$neutral" "$(cat pybuilddir.txt)/_sysconfigdata__wasi_wasm32-wasi.py" >"$library/_sysconfigdata__wasi_wasm32-wasi.py"
"/build/bin/python$version" -s -S "$bytecode" "$library" "/lib/python$version"

if grep -rlF -e /build/ -e /kiln/store "$out" "$stdlib"; then
    echo "the files above name a path of this build" >&2
    exit 1
fi
