# In:  $source   ffi.h, dlfcn.h, ffi.c
#      $sysroot  the WASI sysroot
# Out: $out      include, lib/libkiln-ffi.a

. "$sysroot/cross.sh"

mkdir -p "$out/include" "$out/lib"
cp "$source"/*.h "$out/include/"
chmod u+w "$out/include"/*
$CC -std=c17 -Wall -Wextra -Werror -I"$source" -c "$source/ffi.c" -o ffi.o
$AR rcD "$out/lib/libkiln-ffi.a" ffi.o
