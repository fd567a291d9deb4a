# func.wasm, compiled for the machine.
#
# In:  $func    python/py_func/function.wasm
#      $runner  bin/compile-function
# Out: $out     SHA-256.cwasm, the code of the program that has this hash

# wasmtime would count the sandbox's cores, of which it sees one.
export RAYON_NUM_THREADS="$KILN_CORES"
mkdir "$out"
"$runner/bin/compile-function" "$func/python/py_func/function.wasm" "$out"
