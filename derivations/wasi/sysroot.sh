# The sysroot for wasm32-wasi: a tree of its own, with which nothing of the build machine's /usr/include can be reached.
#
# In:  $posix  our POSIX compatibility library's sources
#      $cross  cross.sh
# Out: $out    include/wasm32-wasi, include/kiln-posix, include/kiln-pthread
#              lib/wasm32-wasi     wasi-libc, libc++, libkiln-posix.a, libkiln-pthread.a
#              lib/clang           the compiler's own headers, and compiler-rt
#              cross.sh            sourced by the scripts that compile for wasm32-wasi

clang=/usr/lib/llvm-14/lib/clang/14.0.6

# Debian's libc++ is reached through links that lead out of these trees: what they lead to is copied.
mkdir -p "$out/include" "$out/lib/clang/lib"
cp -RL /usr/include/wasm32-wasi "$out/include/"
cp -R "$posix/include" "$out/include/kiln-posix"
cp -R "$posix/include-pthread" "$out/include/kiln-pthread"
cp -RL /usr/lib/wasm32-wasi "$out/lib/"
cp -RL "$clang/include" "$out/lib/clang/"
cp -R "$clang/lib/wasi" "$out/lib/clang/lib/"
chmod -R u+w "$out"
cp "$cross" "$out/cross.sh"

# The compatibility library, by the sysroot's own compiler command.
sysroot=$out
. "$out/cross.sh"
mkdir posix
for source in "$posix"/*.c; do
    name=$(basename "$source" .c)
    $CC $KILN_POSIX_CPPFLAGS $KILN_PTHREAD_CPPFLAGS -std=c17 -Wall -Wextra -Werror -c "$source" -o "posix/$name.o"
done
$AR rcD "$out/lib/wasm32-wasi/libkiln-pthread.a" posix/threads.o
rm posix/threads.o
$AR rcD "$out/lib/wasm32-wasi/libkiln-posix.a" posix/*.o

# Proof: a compile that looks at every directory it searches names none outside the sysroot.
for language in c c++; do
    searched=$($CXX -E -v -x $language /dev/null 2>&1 | sed -n '/^#include </,/^End/s/^ //p')
    for directory in $searched; do
        case $directory in
        "$out"/*) ;;
        *) echo "the compiler searches $directory" >&2; exit 1 ;;
        esac
    done
done

# And C++ compiles and links, libc++ included.
cat >proof.cc <<EOF
#include <map>
#include <string>
int main() { return std::map<std::string, int>{{"zero", 0}}.at("zero"); }
EOF
$CXX -fno-exceptions proof.cc -o proof.wasm
