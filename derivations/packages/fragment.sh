# The fragment of one Python package: its site-packages tree, as it lies in the runtime.
#
# In:  $sdist        the source distribution
#      $host_python  CPython for the build machine
#      $libpython    the standard library for wasm32-wasi, for what sysconfig is to say about the target
#      $setuptools   the wheel of the build back end
#      $tools        build_wheel.py and install_wheel.py
#      $bytecode     bytecode.py
#      $version      major.minor, e.g. 3.11
# Out: $out          lib/pythonX.Y/site-packages

export PYTHONHASHSEED=0 PYTHONDONTWRITEBYTECODE=1
python=$host_python/bin/python3

# The target's sysconfig data is all of its standard library that the host's interpreter may see.
mkdir target backend work
cp "$libpython/lib/python$version/_sysconfigdata__wasi_wasm32-wasi.py" target/
"$python" -I "$tools/install_wheel.py" "$setuptools" backend

PYTHONPATH=/build/backend:/build/target \
_PYTHON_HOST_PLATFORM=wasi-wasm32 _PYTHON_SYSCONFIGDATA_NAME=_sysconfigdata__wasi_wasm32-wasi \
    "$python" -s -B "$tools/build_wheel.py" "$sdist" work

site_packages=lib/python$version/site-packages
"$python" -I "$tools/install_wheel.py" "$(cat work/wheel)" "$out/$site_packages"
"$python" -I -S "$bytecode" "$out/$site_packages" "/$site_packages"
