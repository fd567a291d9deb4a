# What the libraries' scripts begin with. Sourced, with these set:
#
#      $src             upstream's sources
#      $debian          what Debian adds to them, if there is something; $debian_patches names the patches that are applied
#      $patches         our own patches, if there are any
#      $sysroot         the WASI sysroot
#
# Leaves a copy of the sources in the current directory, and the compiler's commands in the environment.

. "$sysroot/cross.sh"

# Times are kept: where all files have the same, no Makefile thinks that it has to make a configure script again.
cp -R --preserve=timestamps "$src" /build/source
chmod -R u+w /build/source
cd /build/source
for change in $debian_patches; do
    patch -p1 <"$debian/patches/$change"
done
if [ -n "${patches:-}" ]; then
    for change in "$patches"/*.patch; do
        patch -p1 <"$change"
    done
fi

# finished LIBRARY PROGRAM: what is in $out names no path of this build, and the C program links with the library, each
# function with the parameters that it was declared with.
finished() {
    printf '%s\n' "$2" >/build/proof.c
    $CC -Wall -Werror -I"$out/include" /build/proof.c -L"$out/lib" "-l$1" $KILN_POSIX_LIBS -Wl,--fatal-warnings -o /build/proof.wasm
    if grep -rlF -e /build/ -e /kiln/store "$out"; then
        echo "the files above name a path of this build" >&2
        exit 1
    fi
}
