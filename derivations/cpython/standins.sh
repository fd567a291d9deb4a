# Our own modules of the standard library.
#
# In:  $standins     the modules
#      $host_python  CPython for the build machine
#      $bytecode     bytecode.py
#      $version      major.minor, e.g. 3.11
# Out: $out          lib/pythonX.Y, as it lies in the runtime

export PYTHONHASHSEED=0
library=lib/python$version
mkdir -p "$out/$library"
cp "$standins"/*.py "$out/$library/"
chmod u+w "$out/$library"/*
"$host_python/bin/python3" -s -S "$bytecode" "$out/$library" "/$library"
