# In:  prepare.sh's, and $prepare, itself
# Out: $out  include/bzlib.h, lib/libbz2.a

. "$prepare"

# Its Makefile builds programs, and runs them.
for part in blocksort huffman crctable randtable compress decompress bzlib; do
    $CC -D_FILE_OFFSET_BITS=64 -c $part.c
done

mkdir -p "$out/include" "$out/lib"
cp bzlib.h "$out/include/"
$AR rcD "$out/lib/libbz2.a" ./*.o

finished bz2 '
#include <stddef.h>
#include <bzlib.h>
int main(void) {
    char to[64];
    unsigned size = sizeof to;
    return BZ2_bzBuffToBuffCompress(to, &size, to, 0, 9, 0, 0) + BZ2_bzBuffToBuffDecompress(to, &size, to, 0, 0, 0);
}'
