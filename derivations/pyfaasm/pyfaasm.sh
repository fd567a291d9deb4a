# The fragment of pyfaasm.
#
# In:  $library      our sources
#      $tests        their tests, over a stand-in for the host
#      $host_python  CPython for the build machine
#      $bytecode     bytecode.py
#      $version      major.minor, e.g. 3.11
# Out: $out          lib/pythonX.Y/site-packages/pyfaasm

export PYTHONHASHSEED=0
site_packages=lib/python$version/site-packages
mkdir -p "$out/$site_packages"
cp -R "$library" "$out/$site_packages/pyfaasm"
chmod -R u+w "$out/$site_packages"

PYTHONPATH=$out/$site_packages "$host_python/bin/python3" -s -B "$tests/test_core.py"

"$host_python/bin/python3" -s -S "$bytecode" "$out/$site_packages" "/$site_packages"
