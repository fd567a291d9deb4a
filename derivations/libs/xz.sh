# In:  prepare.sh's, and $prepare, itself
# Out: $out  include/lzma.h, include/lzma, lib/liblzma.a

. "$prepare"

# Without threads: WASI has none.
./configure \
    --host=wasm32-wasi --build=x86_64-linux-gnu --prefix=/ \
    --disable-shared --enable-threads=no --disable-nls --disable-doc --disable-scripts \
    --disable-xz --disable-xzdec --disable-lzmadec --disable-lzmainfo \
    AR_FLAGS=crD CFLAGS=-O2
make -j "$KILN_CORES" -C src/liblzma
make -C src/liblzma DESTDIR=/build/install install

mkdir -p "$out/lib"
cp -R /build/install/include "$out/"
cp /build/install/lib/liblzma.a "$out/lib/"

finished lzma '
#include <lzma.h>
int main(void) {
    lzma_stream stream = LZMA_STREAM_INIT;
    int failed = lzma_easy_encoder(&stream, 6, LZMA_CHECK_CRC64) + lzma_auto_decoder(&stream, 1 << 20, 0);
    lzma_end(&stream);
    return failed;
}'
