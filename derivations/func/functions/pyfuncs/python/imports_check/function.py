"""Imports every module of the standard library, and checks that those fail that are said to, for the reason that is said."""

import importlib
import sys
import warnings

# What a WASI program has no use for, or what needs something that it can't have. docs/runtime.md has this list.
ABSENT = {}

# Parts of packages that ordinary programs import.
PARTS = [
    "asyncio.runners", "concurrent.futures.process", "concurrent.futures.thread", "ctypes.util", "dbm.dumb", "email.mime.text",
    "http.client", "http.cookiejar", "http.server", "importlib.metadata", "json.tool", "logging.config", "logging.handlers",
    "multiprocessing.connection", "multiprocessing.dummy", "multiprocessing.managers", "multiprocessing.pool",
    "multiprocessing.queues", "multiprocessing.synchronize", "unittest.mock", "urllib.request", "urllib.robotparser",
    "wsgiref.simple_server", "xml.dom.minidom", "xml.etree.ElementTree", "xml.sax", "xmlrpc.client", "xmlrpc.server",
]


def faasm_main():
    warnings.simplefilter("ignore")
    # These do something when they are imported.
    names = sorted(set(sys.stdlib_module_names) - {"antigravity", "this", "__main__"}) + PARTS
    failed = {}
    for name in names:
        try:
            importlib.import_module(name)
        except Exception as error:
            failed[name] = f"{type(error).__name__}: {error}"
    for name, reason in sorted(failed.items()):
        print(f"{'absent' if name in ABSENT else 'FAILED'}: {name}: {reason}")
    for name in sorted(set(ABSENT) - set(failed)):
        print(f"FOUND: {name} is said to be absent")
    print(f"{len(names) - len(failed)} of {len(names)} modules were imported")
    return 0 if set(failed) == set(ABSENT) else 1
