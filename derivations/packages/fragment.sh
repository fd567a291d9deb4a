# The fragment of one Python package: its site-packages tree, as it lies in the runtime, and its native modules.
#
# In:  $distribution  the source distribution, or a wheel without native code
#      $file          its name
#      $project, $project_version  what it must be
#      $host_python   CPython for the build machine
#      $stdlib        the standard library for wasm32-wasi, for what sysconfig is to say about the target
#      $build         labels of the wheels of the declared build dependencies
#      $patches       a folder of patches to the sources, if there are any
#      $packaging     the wheel of `packaging`, for our own checks
#      $tomli         that of `tomli`, if the host's Python has no tomllib
#      $tools         the programs in tools/
#      $bytecode      bytecode.py
#      $version       major.minor, e.g. 3.11
#      $modules       the native modules that it must have; if there are any:
#      $sysroot       the WASI sysroot
#      $libpython     CPython's headers for it
#      $wasm_reader   the module that native.py reads WebAssembly with
#      $libraries     labels of C libraries to build against
#      $system_libraries  libraries of the sysroot that func must link too
# Out: $out           lib/pythonX.Y/site-packages
#      $native        lib/native/PROJECT: an archive for each native module, and modules.json

export PYTHONHASHSEED=0 PYTHONDONTWRITEBYTECODE=1
python=$host_python/bin/python3
mkdir work work/tooling work/backends target
"$python" -I "$tools/install_wheel.py" "$packaging" work/tooling

# The compilers for native modules: they compile as the sysroot says, with the target's Python.h before the host's, and a
# shared library comes out as an object file. (Python's pthread_stubs.h says `restrict`, which is a word of C only.)
if [ -n "$modules" ]; then
    . "$sysroot/cross.sh"
    flags="$KILN_POSIX_CPPFLAGS -I$libpython/include/python$version"
    for label in $libraries; do
        eval "library=\$$label"
        flags="$flags -I$library/include"
        LDFLAGS="${LDFLAGS:-} -L$library/lib"
    done
    mkdir casts
    for language in clang clang++; do
        [ $language = clang ] || flags="$flags -Drestrict=__restrict__"
        cat >"/build/cross/module-$language" <<EOF
#!/bin/sh
for argument; do
    [ "\$argument" != -shared ] || exec "$python" -I "$tools/link_module.py" "\$@"
done
said=\$(mktemp /build/casts/XXXXXX)
status=0
wasm32-wasi-$language -Wcast-function-type $flags "\$@" 2>"\$said" || status=\$?
grep -v 'cast from .* converts to incompatible function type' "\$said" >&2
exit \$status
EOF
        chmod +x "/build/cross/module-$language"
    done
    export CC=module-clang CXX=module-clang++ LDSHARED="module-clang -shared" LDCXXSHARED="module-clang++ -shared"
    export ARFLAGS=rcD LDFLAGS="${LDFLAGS:-}"
else
    # Many packages go on without their C parts if those do not compile. That one tried is noted, and refused below.
    printf '#!/bin/sh\ntouch /build/compiled\nexit 1\n' >/build/compiler
    chmod +x /build/compiler
    export CC=/build/compiler CXX=/build/compiler LDSHARED=/build/compiler
fi

case $file in
*.whl)
    wheel=$distribution
    ;;
*)
    # The target's sysconfig data is all of its standard library that the host's interpreter may see.
    cp "$stdlib/lib/python$version/_sysconfigdata__wasi_wasm32-wasi.py" target/
    [ -z "${tomli:-}" ] || "$python" -I "$tools/install_wheel.py" "$tomli" target
    for label in $build; do
        eval "\"\$python\" -I \"\$tools/install_wheel.py\" \"\$$label\" work/backends"
    done
    PYTHONPATH=/build/work/backends:/build/target \
    _PYTHON_HOST_PLATFORM=wasi-wasm32 _PYTHON_SYSCONFIGDATA_NAME=_sysconfigdata__wasi_wasm32-wasi \
        "$python" -s -B "$tools/build_wheel.py" "$distribution" work "$project" "$project_version" ${patches:+"$patches"} || failed=yes
    if [ -e compiled ]; then
        echo "$project compiles native code, but declares no native modules: name them in \`modules\` of the fragment," \
            "or tell its build by \`env\` to leave them out" >&2
        exit 1
    fi
    [ -z "${failed:-}" ] || exit 1
    wheel=$(cat work/wheel)
    file=$(basename "$wheel")
    ;;
esac
PYTHONPATH=work/tooling "$python" -s "$tools/check.py" wheel "$file" "$project" "$project_version" "$version"

site_packages=lib/python$version/site-packages
if [ -n "$modules" ]; then
    "$python" -I "$tools/install_wheel.py" "$wheel" "$out/$site_packages" natives
    "$python" -I "$tools/casts.py" casts
    PYTHONPATH=$wasm_reader "$python" -s -B "$tools/native.py" "$project" natives "$native" "$system_libraries" $modules
else
    "$python" -I "$tools/install_wheel.py" "$wheel" "$out/$site_packages"
fi
"$python" -s -S "$bytecode" "$out/$site_packages" "/$site_packages"

if grep -rlF -e /build/work -e /build/cross -e /kiln/store "$out" ${native:+"$native"}; then
    echo "the files above name a path of this build" >&2
    exit 1
fi
