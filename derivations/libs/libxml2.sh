# In:  prepare.sh's, and $prepare, itself
#      $zlib  that library
# Out: $out  include/libxml, lib/libxml2.a

. "$prepare"

# Its config.sub is older than WASI. Without what would be fetched, loaded, or run in threads.
./configure \
    --host=wasm32-unknown-none --build=x86_64-linux-gnu --prefix=/ \
    --disable-shared --without-python --without-threads --without-http --without-ftp --without-modules --with-zlib="$zlib" --without-lzma \
    --without-debug --without-legacy AR_FLAGS=crD CFLAGS=-O2 CPPFLAGS="$KILN_POSIX_CPPFLAGS" LIBS="$KILN_POSIX_LIBS"
# A patch adds a test to Makefile.am, which would have the Makefile made anew.
make -j "$KILN_CORES" AUTOMAKE=: libxml2.la

mkdir -p "$out/include/libxml" "$out/lib"
cp include/libxml/*.h "$out/include/libxml/"
cp .libs/libxml2.a "$out/lib/"

CC="$CC -I$zlib/include"
KILN_POSIX_LIBS="-L$zlib/lib -lz $KILN_POSIX_LIBS"
finished xml2 '
#include <string.h>
#include <libxml/parser.h>
#include <libxml/xmlschemas.h>
int main(void) {
    xmlDocPtr document = xmlReadMemory("<a/>", 4, "a.xml", NULL, 0);
    xmlSchemaFree(NULL);
    xmlSetDocCompressMode(document, 9);
    if (xmlGetDocCompressMode(document) != 9)
        return 1;
    return !document || strcmp(xmlParserVersion, "20914") != 0;
}'
