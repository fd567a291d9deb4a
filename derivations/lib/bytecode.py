"""Compiles every Python file of a tree into its `__pycache__`.

Usage: bytecode.py TREE NAMED_AS

NAMED_AS is the path that the compiled files are to give as the tree's own: where it will lie when it is used.

Byte code must come out the same whatever else is compiled, in whatever order and by however many processes: marshal
looks at the reference counts of interned strings, and those depend on what a process did before. So each file is
compiled by a child of its own, forked from a parent that compiles nothing. And both the order of a set and those counts
follow the hashes of strings: PYTHONHASHSEED must be 0, which Python's -I and -E would ignore.

It is checked neither against times nor against hashes when it is loaded: the files of a store never change, and all of
them carry the same time.
"""

import importlib.util
import os
import sys
from importlib._bootstrap_external import _code_to_hash_pyc


def python_files(tree):
    """All Python files below `tree`, sorted, as paths relative to it."""
    found = []
    for folder, folders, names in os.walk(tree):
        folders[:] = [name for name in folders if name != "__pycache__"]
        found += [os.path.relpath(os.path.join(folder, name), tree) for name in names if name.endswith(".py")]
    return sorted(found)


def compile_one(source, named_as):
    """Writes the byte code of `source`, as that of the file `named_as`."""
    with open(source, "rb") as file:
        text = file.read()
    code = compile(text, named_as, "exec", dont_inherit=True, optimize=0)
    target = importlib.util.cache_from_source(source, optimization="")
    os.makedirs(os.path.dirname(target), exist_ok=True)
    with open(target, "wb") as file:
        file.write(_code_to_hash_pyc(code, importlib.util.source_hash(text), checked=False))


def compile_in_child(source, named_as):
    """Forks a child that compiles `source`; returns its process number."""
    child = os.fork()
    if child:
        return child
    try:
        compile_one(source, named_as)
        os._exit(0)
    except BaseException as error:
        print(f"cannot compile {source}: {error}", file=sys.stderr, flush=True)
        os._exit(1)


def main():
    tree, named_as = sys.argv[1:]
    if sys.flags.hash_randomization:
        sys.exit("bytecode.py: PYTHONHASHSEED must be 0, and Python run without -I and -E")
    at_once = int(os.environ.get("KILN_CORES", "1"))
    sources = python_files(tree)
    running, failed = 0, 0
    for path in sources + [None] * at_once:
        if running == at_once or path is None and running:
            failed += os.wait()[1] != 0
            running -= 1
        if path is not None:
            compile_in_child(os.path.join(tree, path), os.path.join(named_as, path))
            running += 1
    print(f"{len(sources) - failed} Python files compiled, {failed} failed")
    return failed != 0


sys.exit(main())
