# Run by /bin/sh -eu in an empty directory, without network. $src is the input of that name, $out the path to write to.
mkdir -p "$out/bin"

# Linked statically, the program needs nothing of the root when it runs.
gcc -O2 -Wall -static -o "$out/bin/hello" "$src/hello.c"

"$out/bin/hello"
