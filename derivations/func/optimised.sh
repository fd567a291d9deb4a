# func.wasm, optimised as a whole. -O1 takes a quarter of -O2's time, for nearly all that it gains.
#
# In:  $func         python/py_func/function.wasm
#      $binaryen     Debian's package of wasm-opt; its libraries need those of the root
#      $host_python  CPython for the build machine
#      $imports      imports.py
#      $wasm_reader  the module that it reads WebAssembly with
#      $interface    interface.json: the functions of Faasm
#      $profile      wasi, faasm or faasm-minimal
# Out: $out          the same file

file=python/py_func/function.wasm
mkdir -p "$out/python/py_func"
export BINARYEN_CORES="$KILN_CORES" LD_LIBRARY_PATH="$binaryen/usr/lib/x86_64-linux-gnu"
"$binaryen/usr/bin/wasm-opt" -O1 "$func/$file" -o "$out/$file"
chmod a-x "$out/$file"

# It may ask no more of its host than before.
PYTHONPATH=$wasm_reader "$host_python/bin/python3" -B "$imports" "$out/$file" "$profile" "$interface"
