"""Stands in for the linker of shared libraries: makes one object file of a native module's objects.

Usage: link_module.py OBJECT... [-LFOLDER] [-lLIBRARY] -o FILE [whatever else a linker is told]

WASI has no shared libraries, so a package's build gets an object file where it expects one. Libraries that lie in one of the
folders are linked in; others are the sysroot's, and func links those. What the objects leave undefined stays so.
"""

import os
import subprocess
import sys

# Options of a compiler driver whose next argument is theirs.
WITH_VALUE = {"-z", "-T", "-u", "-framework", "-Xlinker", "-target", "-arch"}


def read(arguments):
    """(inputs, folders, libraries, output) of a linker's command line."""
    inputs, folders, libraries, output = [], [], [], None
    rest = iter(arguments)
    for argument in rest:
        if argument == "-o":
            output = next(rest)
        elif argument in ("-L", "-l"):
            (folders if argument == "-L" else libraries).append(next(rest))
        elif argument.startswith("-L"):
            folders.append(argument[2:])
        elif argument.startswith("-l"):
            libraries.append(argument[2:])
        elif argument in WITH_VALUE:
            next(rest)
        elif not argument.startswith("-"):
            inputs.append(argument)
    return inputs, folders, libraries, output


def main():
    inputs, folders, libraries, output = read(sys.argv[1:])
    for library in libraries:
        paths = [os.path.join(folder, f"lib{library}.a") for folder in folders]
        inputs += [path for path in paths if os.path.exists(path)][:1]
    return subprocess.run(["wasm-ld-14", "--relocatable", "-o", output, *inputs]).returncode


sys.exit(main())
