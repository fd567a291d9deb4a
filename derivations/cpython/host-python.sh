# CPython for the build machine.
#
# In:  $src       CPython's sources
#      $changes   prepare.sh, and what it needs
#      $patches   the changes of this version
#      $bytecode  bytecode.py
#      $version   major.minor, e.g. 3.11
#      $left_out  what of the standard library is not installed
# Out: $out       bin/python3, lib/pythonX.Y, include/pythonX.Y
#
# The interpreter finds its prefix from where it lies, so nothing in $out names $out, and no path of this build.

found=$(sed -n 's/^#define PY_VERSION[[:space:]]*"\(.*\)".*/\1/p' "$src/Include/patchlevel.h")
case $found in
"$version".*) ;;
*) echo "these are the sources of Python $found, and this is the lane of $version" >&2; exit 1 ;;
esac
. "$changes/prepare.sh"

# A prefix that exists nowhere: what is not found from the interpreter's own place should not be found at all.
# Without -g there is no debug information, and what __FILE__ says does not depend on where the sources lie.
./configure \
    --prefix=/python \
    --with-ensurepip=no \
    --without-static-libpython \
    --disable-test-modules \
    CC=clang-14 CXX=clang++-14 AR=llvm-ar-14 READELF=llvm-readelf-14 \
    ARFLAGS=rcD \
    CFLAGS=-ffile-prefix-map=/build/python=/python \
    OPT='-DNDEBUG -fwrapv -O2 -Wall'

make -j "$KILN_CORES"
make DESTDIR=/build/install altbininstall inclinstall sharedinstall
installed=/build/install/python

library=$out/lib/python$version
mkdir -p "$out/bin" "$out/include" "$library"
cp "$installed/bin/python$version" "$out/bin/"
ln -s "python$version" "$out/bin/python3"
cp -R "$installed/include/python$version" "$out/include/"
cp -R Lib/. "$library"
cp LICENSE "$library/LICENSE.txt"
cp -R "$installed/lib/python$version/lib-dynload" "$library/"
llvm-strip-14 "$out/bin/python$version" "$library"/lib-dynload/*.so

# What sysconfig says about this build, with the build's own folder taken out.
sed 's,/build/python,/python,g' "$(echo build/lib.*/_sysconfigdata_*.py)" \
    >"$library/_sysconfigdata__linux_x86_64-linux-gnu.py"

# The standard library without its test suites, and compiled. None of it is a program to be run by its `#!` line.
(cd "$library" && rm -rf $left_out)
find "$library" \( -name test -o -name tests -o -name idle_test -o -name __pycache__ \) -prune -exec rm -rf {} +
find "$library" -type f ! -name '*.so' -exec chmod a-x {} +
./python -s -S "$bytecode" "$library" "/lib/python$version"

# The interpreter in its ELF header is the root's: whoever runs this python needs that root.
echo "$KILN_ROOT" >"$out/.kiln-root"

# Proof that it runs from where it lies, and has what the other recipes use.
"$out/bin/python3" -I -c '
import sys, ctypes, zlib, bz2, lzma, hashlib, json, zipfile, sysconfig
assert sys.prefix == sys.argv[1], sys.prefix
assert sys.exec_prefix == sys.argv[1], sys.exec_prefix
assert sysconfig.get_config_var("EXT_SUFFIX") == ".cpython-" + sys.argv[2].replace(".", "") + "-x86_64-linux-gnu.so"
' "$out" "$version"
if grep -rlF -e /build/ -e "$out" "$out"; then
    echo "the files above name a path of this build" >&2
    exit 1
fi
