"""Writes the byte code of modules as C.

Usage: frozen.py LIBRARY FILE MODULE...

LIBRARY is the standard library with its compiled files, from which the byte code is taken as it is. FILE gets an array of bytes for each
MODULE, and the macro MODULES, which lists them.
"""

import importlib.util
import os
import sys

HEADER = 16  # of a compiled file: what it was made of


def source_of(library, module):
    """A module's source, and whether it is a package."""
    path = os.path.join(library, *module.split("."))
    package = os.path.join(path, "__init__.py")
    return (package, 1) if os.path.exists(package) else (path + ".py", 0)


def main():
    library, target, *modules = sys.argv[1:]
    rows = []
    with open(target, "w", encoding="utf-8") as file:
        for number, module in enumerate(modules):
            source, is_package = source_of(library, module)
            with open(importlib.util.cache_from_source(source, optimization=""), "rb") as compiled:
                code = compiled.read()[HEADER:]
            file.write(f"static const unsigned char code_{number}[] = {{{','.join(map(str, code))}}};\n")
            rows.append(f'{{"{module}", code_{number}, sizeof code_{number}, {is_package}, NULL}},')
        file.write(f"#define MODULES {' '.join(rows)}\n")


main()
