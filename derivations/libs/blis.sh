# BLIS with its reference kernels, which are in C, for one thread; as BLAS and as CBLAS.
#
# In:  prepare.sh's, and $prepare, itself
# Out: $out  include/blis.h, lib/libblis.a

. "$prepare"
cd blis/_src

# Upstream's configure script has been run for "generic" already; what it wrote is at the top of the one big header. Nothing of an operating
# system is used (so no locks and no threads), sizes are the machine's own 32 bits, and BLAS and CBLAS are wanted.
header=include/linux-generic/blis.h
sed -i '1,190 {
    /^#if 1$/ { N; s/^#if 1\n\(#define BLIS_ENABLE_SYSTEM\)$/#if 0\n\1/ }
    s/^#if 64 == 64$/#if 32 == 64/
    s/^#elif 64 == 32$/#elif 32 == 32/
}' $header

# Kernels are compiled as upstream does: products and sums may be reordered, which is what blocking them does anyway. Without WebAssembly's
# 128-bit vectors they are no faster than numpy's own loops.
cat >/build/compile <<EOF
own=
case \$1 in ref_kernels/*) own="-DBLIS_CNAME=generic -O3 -funsafe-math-optimizations -ffp-contract=fast -fopenmp-simd" ;; esac
exec $CC -std=c99 -w -msimd128 -Iinclude/linux-generic -Iframe/include -Iframe/3 -Iframe/1m -Iframe/1f -Iframe/1 -Iframe/compat/cblas/src \
    -DBLIS_VERSION_STRING='"0.9.0"' -DBLIS_IS_BUILDING_LIBRARY -DBLIS_ENABLE_BLAS -DBLIS_ENABLE_CBLAS \$own \
    -c "\$1" -o "/build/objects/\$(basename "\$1" .c).o"
EOF

# Every source that upstream's own Makefile takes. Objects lie in one folder: no two sources have the same name.
mkdir /build/objects
find config/generic frame ref_kernels \( -name old -o -name attic -o -name amd -o -name other \) -prune -o -name '*.c' -print >/build/sources
xargs -P "$KILN_CORES" -n 1 sh -eu /build/compile </build/sources
[ "$(wc -l </build/sources)" = "$(ls /build/objects | wc -l)" ] || { echo "two sources have the same name" >&2; exit 1; }

mkdir -p "$out/include" "$out/lib"
cp $header "$out/include/"
$AR rcD "$out/lib/libblis.a" /build/objects/*.o

finished blis '
void cblas_dgemm(int, int, int, int, int, int, double, const double *, int, const double *, int, double, double *, int);
void cblas_zdotc_sub(int, const void *, int, const void *, int, void *);
int main(void) {
    double one[4] = {1, 2, 3, 4}, other[4] = {1};
    cblas_dgemm(101, 111, 111, 2, 2, 2, 1, one, 2, one, 2, 0, other, 2);
    cblas_zdotc_sub(2, one, 1, one, 1, other);
    return 0;
}'
