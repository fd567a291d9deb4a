"""Says of every extension module of CPython what became of it in a static build for WASI, and why.

Usage: report.py failed BUILD ERRORS      the modules of which an object is missing, with the compiler's first error
       report.py report BUILD FAILED [MODULE ...]
                                          every module: built, left out or failed; it is an error if one that is named is not built

Both print JSON. BUILD is CPython's configured and built tree.
"""

import json
import os
import re
import sys

# A library or function that a module needs and the sysroot does not have.
NEEDS = {
    "_crypt": "needs crypt()",
    "_curses": "needs ncurses",
    "_curses_panel": "needs ncurses",
    "_dbm": "needs a dbm library",
    "_gdbm": "needs libgdbm",
    "_hashlib": "needs OpenSSL",
    "_socket": "needs functions of netdb.h, which WASI does not have",
    "_ssl": "needs OpenSSL",
    "_tkinter": "needs Tcl and Tk",
    "_uuid": "needs libuuid; uuid works without it",
    "readline": "needs libreadline",
}

# What a module is for and WASI does not have.
NOT_ON_WASI = {
    "_multiprocessing": "WASI has no processes",
    "_posixshmem": "WASI has no shared memory",
    "_posixsubprocess": "WASI has no processes",
    "_scproxy": "for macOS only",
    "fcntl": "WASI has no file locks",
    "mmap": "WASI has no memory-mapped files",
    "nis": "WASI has no name services",
    "ossaudiodev": "WASI has no devices",
    "resource": "WASI has no resource limits",
    "spwd": "WASI has no password files",
    "syslog": "WASI has no system log",
    "termios": "WASI has no terminals",
}


def read(build, *path):
    with open(os.path.join(build, *path), encoding="utf-8") as file:
        return file.read()


def setup_lines(build):
    """(module, source files) of every module that a Setup file names, commented out or not."""
    newer = os.path.exists(os.path.join(build, "Modules", "Setup.stdlib.in"))
    for name in ("Setup.bootstrap.in", "Setup.stdlib.in", "Setup.local") if newer else ("Setup", "Setup.local"):
        for line in read(build, "Modules", name).splitlines():
            found = re.match(r"#?(?:@MODULE_\w+_TRUE@)?(\w+)\s+((?:-\S+\s+)*)((?:\S+\.c\s*)+)", line)
            if found:
                yield found[1], found[3].split()


def states(build):
    """What configure decided, by module name in capitals."""
    return dict(re.findall(r"^MODULE_(\w+)_STATE=(\S+)$", read(build, "Makefile"), re.MULTILINE))


def built_in(build):
    """The modules that are in the interpreter's table."""
    return set(re.findall(r'^\s*\{"(\w+)",', read(build, "Modules", "config.c"), re.MULTILINE))


def failed(build, errors):
    """Modules with an object that could not be made, and the first error the compiler gave for it."""
    wanted = re.search(r"^MODOBJS=(.*)$", read(build, "Makefile"), re.MULTILINE)[1].split()
    missing = {os.path.basename(path)[:-2] for path in wanted if not os.path.exists(os.path.join(build, path))}
    log = read("", errors)
    result = {}
    for module, sources in setup_lines(build):
        for source in sources:
            stem = os.path.basename(source)[:-2]
            if stem in missing:
                error = re.search(rf"{re.escape(os.path.basename(source))}:\d+:\d+: (?:fatal )?error: (.*)", log)
                result.setdefault(module, f"{source}: {error[1] if error else 'does not compile'}")
    return result


def why_left_out(module, state):
    """The reason why a module is not in the library, as far as configure's own word for it lets one know."""
    if module.startswith(("_test", "xx", "_xxtest", "_ctypes_test")):
        return "for CPython's own tests"
    known = NEEDS.get(module) or NOT_ON_WASI.get(module)
    if known:
        return known
    if state == "n/a":
        return "upstream leaves it out on WASI"
    if state is None:
        return "no part of the documented library"
    return f"configure says \"{state}\""


def report(build, failures):
    """What became of every module."""
    decided, present = states(build), built_in(build)
    modules = {name: {"state": "built"} for name in present}
    for module, _ in setup_lines(build):
        if module in present:
            continue
        if module in failures:
            modules[module] = {"state": "failed", "reason": failures[module]}
        else:
            modules[module] = {"state": "left out", "reason": why_left_out(module, decided.get(module.upper()))}
    counts = {}
    for module in modules.values():
        counts[module["state"]] = counts.get(module["state"], 0) + 1
    return {"target": "wasm32-wasi", "counts": counts, "modules": modules}


def main():
    command, build, argument, *needed = sys.argv[1:]
    if command == "failed":
        result = failed(build, argument)
    else:
        with open(argument, encoding="utf-8") as file:
            result = report(build, json.load(file))
        for name in needed:
            if result["modules"].get(name) != {"state": "built"}:
                raise SystemExit(f"{name} is not built: {result['modules'].get(name)}")
    json.dump(result, sys.stdout, indent=1, sort_keys=True)
    print()


main()
