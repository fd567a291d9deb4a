"""Imports every module of the standard library, and checks that those fail that are said to, for the reason that is said."""

import importlib
import os
import sys
import warnings

# What fails, by the reason why. docs/runtime.md has this list, too.
ABSENT = {
    "for Windows or macOS": "_msi _overlapped _scproxy _winapi msilib msvcrt nt winreg winsound",
    "not in the runtime": "_tkinter ensurepip idlelib tkinter turtle turtledemo venv",
    "needs a terminal": "_curses _curses_panel curses pty readline termios tty",
    "needs OpenSSL": "_hashlib _ssl ssl",
    "needs another library": "_dbm _gdbm _uuid",
    "is about what WASI does not have": "_posixshmem _posixsubprocess fcntl mmap nis ossaudiodev resource spwd syslog",
}

# Parts of packages that ordinary programs import.
PARTS = [
    "asyncio.runners", "concurrent.futures.process", "concurrent.futures.thread", "ctypes.util", "dbm.dumb", "email.mime.text",
    "http.client", "http.cookiejar", "http.server", "importlib.metadata", "json.tool", "logging.config", "logging.handlers",
    "multiprocessing.connection", "multiprocessing.dummy", "multiprocessing.managers", "multiprocessing.pool",
    "multiprocessing.queues", "multiprocessing.synchronize", "unittest.mock", "urllib.request", "urllib.robotparser",
    "wsgiref.simple_server", "xml.dom.minidom", "xml.etree.ElementTree", "xml.sax", "xmlrpc.client", "xmlrpc.server",
]


def standard_library(absent):
    """The names of its modules. Before 3.10 Python does not know them: they are what is there, and what is said to be absent."""
    if hasattr(sys, "stdlib_module_names"):
        return set(sys.stdlib_module_names)
    library = os.path.dirname(os.__file__)
    files = {name[:-3] for name in os.listdir(library) if name.endswith(".py")}
    packages = {name for name in os.listdir(library) if os.path.exists(os.path.join(library, name, "__init__.py"))}
    return files | packages | set(sys.builtin_module_names) | set(absent)


def faasm_main():
    warnings.simplefilter("ignore")
    absent = {name: why for why, names in ABSENT.items() for name in names.split()}
    # These do something when they are imported.
    names = sorted(standard_library(absent) - {"antigravity", "this", "__main__"}) + PARTS
    failed = {}
    for name in names:
        try:
            importlib.import_module(name)
        except Exception as error:
            failed[name] = f"{type(error).__name__}: {error}"
    for name, reason in sorted(failed.items()):
        print(f"absent: {name}: {absent[name]}" if name in absent else f"FAILED: {name}: {reason}")
    for name in sorted(set(absent) - set(failed)):
        print(f"FOUND: {name} is said to be absent")
    print(f"{len(names) - len(failed)} of {len(names)} modules were imported")
    return 0 if set(failed) == set(absent) else 1
