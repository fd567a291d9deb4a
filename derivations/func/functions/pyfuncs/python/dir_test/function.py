"""Looks around in the file tree that a function sees, and tries to leave it."""

import os
import stat
import sys


def root():
    found = set(os.listdir("/"))
    assert {"lib", "pyfuncs", "python"} <= found, found


def own_folder():
    folder = os.path.dirname(os.path.abspath(__file__))
    assert folder == "/pyfuncs/python/dir_test", folder
    with os.scandir(folder) as entries:
        found = {entry.name: entry.is_file() for entry in entries}
    assert found.get("function.py") is True, found
    assert stat.S_ISREG(os.stat(__file__).st_mode)
    with open(__file__, "rb") as file:
        assert len(file.read()) == os.path.getsize(__file__)


def library():
    library = os.path.dirname(os.__file__)
    assert library == "/lib/python{}.{}".format(*sys.version_info), library
    walked = {os.path.join(folder, name) for folder, _, names in os.walk(os.path.join(library, "json")) for name in names}
    assert os.path.join(library, "json/decoder.py") in walked, walked
    assert os.path.isdir(os.path.join(library, "site-packages"))


def what_is_not_there():
    assert not os.path.exists("/nowhere")
    for ask in (open, os.listdir, os.stat):
        try:
            ask("/nowhere/at/all")
        except FileNotFoundError:
            continue
        raise AssertionError("{} found it".format(ask.__name__))


def nothing_outside():
    for path in ("/../etc/passwd", "/../../../etc/passwd", "/pyfuncs/../../etc/passwd", "/etc/passwd"):
        try:
            with open(path, "rb"):
                pass
        except OSError:
            continue
        raise AssertionError("{} can be read".format(path))


CHECKS = [root, own_folder, library, what_is_not_there, nothing_outside]


def faasm_main():
    for check in CHECKS:
        check()
        print("{}: ok".format(check.__name__))
