# In:  prepare.sh's, and $prepare, itself
# Out: $out  include/zlib.h, lib/libz.a

. "$prepare"

CHOST=wasm32 ./configure --static
make -j "$KILN_CORES" libz.a ARFLAGS=rcD

mkdir -p "$out/include" "$out/lib"
cp zlib.h zconf.h "$out/include/"
cp libz.a "$out/lib/"

finished z '
#include <zlib.h>
int main(void) {
    unsigned char to[64];
    unsigned long size = sizeof to;
    gzFile file = gzopen("/file", "rb");
    return compress(to, &size, to, 0) + uncompress(to, &size, to, 0) + gzclose(file);
}'
