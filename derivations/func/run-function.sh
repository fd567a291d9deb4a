# What runs a function of a built runtime: wasmtime, driven by the host's Python.
#
# In:  $wasmtime     wasmtime's wheel, unpacked
#      $host_python  CPython for the build machine
#      $program      run_function.py
#      $bytecode     bytecode.py
# Out: $out          bin/run-function, lib/wasmtime

python=$host_python/bin/python3
mkdir -p "$out/bin" "$out/lib"
cp -R "$wasmtime/wasmtime" "$out/lib/"
chmod -R u+w "$out/lib"
"$python" -I -S "$bytecode" "$out/lib/wasmtime" /lib/wasmtime

{ echo "#!$python -IB"; cat "$program"; } >"$out/bin/run-function"
chmod +x "$out/bin/run-function"

# wasmtime's library is linked to the root's C library.
echo "$KILN_ROOT" >"$out/.kiln-root"

# Proof that wasmtime is found and loads.
"$out/bin/run-function" --help
