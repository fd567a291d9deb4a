# In:  prepare.sh's, and $prepare, itself
#      $libxml2, $zlib  those libraries
# Out: $out  include/libxslt, include/libexslt, lib/libxslt.a, lib/libexslt.a

. "$prepare"

# Its config.sub is older than WASI.
./configure \
    --host=wasm32-unknown-none --build=x86_64-linux-gnu --prefix=/ \
    --disable-shared --without-python --without-crypto --without-plugins --without-debugger \
    LIBXML_CFLAGS="-I$libxml2/include" LIBXML_LIBS="-L$libxml2/lib -lxml2 -L$zlib/lib -lz" \
    AR_FLAGS=crD CFLAGS=-O2 CPPFLAGS="$KILN_POSIX_CPPFLAGS" LIBS="$KILN_POSIX_LIBS"

mkdir -p "$out/lib"
for part in libxslt libexslt; do
    make -j "$KILN_CORES" -C $part $part.la
    mkdir -p "$out/include/$part"
    cp $part/*.h "$out/include/$part/"
    cp $part/.libs/$part.a "$out/lib/"
done

CC="$CC -I$libxml2/include"
KILN_POSIX_LIBS="-lxslt -L$libxml2/lib -lxml2 -L$zlib/lib -lz $KILN_POSIX_LIBS"
finished exslt '
#include <libexslt/exslt.h>
#include <libxslt/transform.h>
int main(void) {
    exsltRegisterAll();
    return xsltParseStylesheetDoc(NULL) != NULL;
}'
