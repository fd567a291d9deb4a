# In:  $source   hello.c
#      $sysroot  the WASI sysroot
# Out: $out      hello.wasm

. "$sysroot/cross.sh"
mkdir "$out"
$CC -Wall -Werror "$source" -o "$out/hello.wasm"
$STRIP "$out/hello.wasm"
chmod a-x "$out/hello.wasm"
