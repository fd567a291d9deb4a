# What runs a function of a built runtime: wasmtime, driven by the host's Python.
#
# In:  $wasmtime     wasmtime's wheel, unpacked
#      $host_python  CPython for the build machine
#      $program      run_function.py
#      $compiler     compile_function.py
#      $engine       engine.py, which both use
#      $faasm_host   faasm_host.py, with $interface and $state (pyfaasm's tiers.py), which it uses
#      $test         test_faasm_host.py
#      $bytecode     bytecode.py
# Out: $out          bin/run-function, bin/compile-function, lib/wasmtime, lib/faasm_host.py and what it uses

export PYTHONHASHSEED=0
python=$host_python/bin/python3
mkdir -p "$out/bin" "$out/lib"
cp -R "$wasmtime/wasmtime" "$out/lib/"
chmod -R u+w "$out/lib"
cp "$engine" "$out/lib/engine.py"
cp "$faasm_host" "$out/lib/faasm_host.py"
cp "$interface" "$out/lib/interface.json"
cp "$state" "$out/lib/tiers.py"
"$python" -s -S "$bytecode" "$out/lib" /lib

{ echo "#!$python -IB"; cat "$program"; } >"$out/bin/run-function"
{ echo "#!$python -IB"; cat "$compiler"; } >"$out/bin/compile-function"
chmod +x "$out/bin/run-function" "$out/bin/compile-function"

# wasmtime's library is linked to the root's C library.
echo "$KILN_ROOT" >"$out/.kiln-root"

# Proof that wasmtime is found and loads, and that no guest reaches what is not its own.
"$out/bin/run-function" --help
"$python" -I -B "$test" "$out/lib"
