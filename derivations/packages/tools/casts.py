"""Refuses native modules with functions that Python would call with more arguments than they take.

Usage: casts.py FOLDER

FOLDER has what the compiler said, with -Wcast-function-type. A getter without its closure, or a method without arguments that
does not take the second, unused one, works on the usual processors. WebAssembly checks the type of a function that is called
through a pointer, and traps. Functions that take more than PyCFunction says are well: METH_KEYWORDS is cast that way.
"""

import pathlib
import re
import sys

CAST = re.compile(r"^(\S+?):(\d+):\d+: warning: cast from '([^']*)'(?: \(aka '([^']*)'\))? to '(getter|setter|PyCFunction)' ")
TAKES = {"getter": 2, "setter": 3, "PyCFunction": 2}


def parameters(function):
    """How many parameters a function type has, written as in `int (*)(int, char *)`."""
    listed = function.partition("(*)(")[2].rpartition(")")[0]
    return 0 if listed in ("", "void") else listed.count(",") + 1


def main():
    wrong = set()
    for path in pathlib.Path(sys.argv[1]).iterdir():
        for line in path.read_text("utf-8", "replace").splitlines():
            found = CAST.match(line)
            if found and parameters(found[3]) < TAKES[found[5]]:
                wrong.add((found[1], int(found[2]), found[3], found[5]))
    for file, line, function, kind in sorted(wrong):
        print(f"{file}:{line}: `{function}` is used as a {kind}, which is called with {TAKES[kind]} arguments: it would trap", file=sys.stderr)
    if wrong:
        raise SystemExit("patch the functions above so that they take what they are called with")


main()
