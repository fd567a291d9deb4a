"""Checks that the library is loaded from byte code that was compiled ahead, and that functions are not."""

import importlib.machinery
import importlib.util
import json
import os
import sys

import pyfaasm.core


def header(module):
    """Magic number and flags of the byte code that a module was loaded from."""
    with open(module.__cached__, "rb") as file:
        return file.read(4), int.from_bytes(file.read(4), "little")


def the_library_is_compiled():
    for module in (json, json.decoder, pyfaasm.core):
        assert os.path.isfile(module.__cached__), module.__cached__
        magic, flags = header(module)
        assert magic == importlib.util.MAGIC_NUMBER, (module, magic)
        # By a hash that is not compared: neither times nor a changed path make it stale.
        assert flags == 0b01, (module, flags)


def tracebacks_name_the_sources_as_they_lie_here():
    for module, code in ((json, json.dumps.__code__), (pyfaasm.core, pyfaasm.core.chain.__code__)):
        assert code.co_filename == module.__file__, (code.co_filename, module.__file__)
        assert os.path.isfile(code.co_filename)


def every_module_that_was_loaded_came_from_byte_code():
    # Others are built in, or frozen.
    kind = importlib.machinery.SourceFileLoader
    loaded = [one for name, one in sys.modules.items() if name != "function" and isinstance(getattr(one, "__loader__", None), kind)]
    for module in loaded:
        assert os.path.isfile(module.__cached__), module
    assert len(loaded) > 5, loaded


def functions_are_not():
    folder = os.path.dirname(__file__)
    assert os.listdir(folder) == ["function.py"], os.listdir(folder)


CHECKS = [
    the_library_is_compiled,
    tracebacks_name_the_sources_as_they_lie_here,
    every_module_that_was_loaded_came_from_byte_code,
    functions_are_not,
]


def faasm_main():
    for check in CHECKS:
        check()
        print("{}: ok".format(check.__name__))
