# CPython's own tests: the suites that the standard library of the runtime is without, and the C modules that they use.
#
# In:  $src           CPython's sources
#      $changes       prepare.sh, and what it needs
#      $patches       the changes of this version
#      $wasi_patches, $own_patches  further ones, for WASI alone; the second, if there are any, for this version alone
#      $functions     the function that runs the tests
#      $sysroot       the WASI sysroot
#      $libpython     CPython's headers for it
#      $host_python   CPython for the build machine
#      $bytecode      bytecode.py
#      $version       major.minor, e.g. 3.11
#      $modules       the C modules; $NAME_sources has the source files of each, $NAME_options options of the compiler.
#                     One that this version does not have is passed over.
# Out: $out           lib/pythonX.Y, and pyfuncs
#      $native        lib/native/tests: an archive for each C module, and modules.json

. "$sysroot/cross.sh"
. "$changes/prepare.sh"

# What libpython.sh takes away, but for the tests of IDLE and Tk, which are not in the runtime at all.
library=lib/python$version
mkdir -p "$out/$library"
(cd Lib && find . \( -path ./idlelib -o -path ./tkinter \) -prune -o -type d \( -name test -o -name tests \) -prune -print) >suites
while read -r suite; do
    mkdir -p "$out/$library/$(dirname "$suite")"
    cp -R "Lib/$suite" "$out/$library/$suite"
done <suites
cat suites
# A package that is there to be tested with: the interpreter has it frozen.
[ ! -d Lib/__phello__ ] || cp -R Lib/__phello__ "$out/$library/"
cp -R "$functions" "$out/pyfuncs"
chmod -R u+w "$out"
# None of it is a program to be run by its `#!` line.
find "$out" -type f -exec chmod a-x {} +

# What every module imports is compiled ahead. The others are not: some of them are no Python at all, and are to be.
"$host_python/bin/python3" -s -S "$bytecode" "$out/$library/test/support" "/$library/test/support"

headers=$libpython/include/python$version
folder=$native/lib/native/tests
mkdir -p "$folder"
built=
for module in $modules; do
    eval "sources=\$${module}_sources options=\${${module}_options:-}"
    objects=
    for source in $sources; do
        [ -e "Modules/$source" ] || continue
        object=$(basename "$source" .c).o
        # They keep their assertions, and those keep the names of files.
        $CC $KILN_POSIX_CPPFLAGS -ffile-prefix-map="$libpython"=/libpython -I"$headers" -I"$headers/internal" -IModules -std=c11 -fwrapv \
            $options -c "Modules/$source" -o "$object"
        objects="$objects $object"
    done
    [ -n "$objects" ] || continue
    $AR rcD "$folder/$module.a" $objects
    built="$built $module"
done

"$host_python/bin/python3" -I -c '
import json, sys
modules = {name: {"archive": f"{name}.a", "init": f"PyInit_{name}"} for name in sys.argv[1:]}
json.dump({"package": "tests", "modules": modules, "libraries": []}, sys.stdout, indent=1, sort_keys=True)
' $built >"$folder/modules.json"
