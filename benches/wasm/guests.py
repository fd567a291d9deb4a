"""Guests for the scripts beside this one: a func.wasm, compiled ahead of time, and run over a runtime's tree as run-function does.

In: the wasm, the runtime's tree. Out: seconds, exit statuses, and what guests print. Runs on host-python, with the runner's lib on PYTHONPATH.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time

import wasmtime
from engine import engine

HERE = os.path.dirname(os.path.realpath(__file__))
ENVIRONMENT = {"PYTHONHOME": "/", "PYTHONHASHSEED": "0", "PYTHONNOUSERSITE": "on", "PYTHONWASM": "1"}
FUNCTION = "python/py_func/function.wasm"


class Guest:
    """One func.wasm, ready to run."""

    def __init__(self, runtime, wasm=None):
        self.runtime, self.engine = runtime, engine()
        path = wasm or os.path.join(runtime, FUNCTION)
        self.size = os.path.getsize(path)
        with tempfile.NamedTemporaryFile() as compiled:
            wall, processor = time.perf_counter(), time.process_time()
            module = wasmtime.Module.from_file(self.engine, path)
            self.compiled = time.perf_counter() - wall, time.process_time() - processor
            compiled.write(module.serialize())
            compiled.flush()
            self.compiled_size = os.path.getsize(compiled.name)
            self.module = wasmtime.Module.deserialize_file(self.engine, compiled.name)

    def run(self, function, *, entry=None, data=b"", mounts={}):
        """Runs a function in an instance of its own; returns what it printed."""
        wasi = wasmtime.WasiConfig()
        wasi.argv = [FUNCTION, *(["--entry", entry] if entry else []), function]
        wasi.env = list(ENVIRONMENT.items())
        wasi.preopen_dir(self.runtime, "/", False)
        for inside, outside in mounts.items():
            wasi.preopen_dir(outside, inside, False)
        with tempfile.TemporaryDirectory() as scratch:
            given, said = os.path.join(scratch, "in"), os.path.join(scratch, "out")
            with open(given, "wb") as file:
                file.write(data)
            wasi.stdin_file, wasi.stdout_file = given, said
            wasi.inherit_stderr()
            self.start(wasi, function)
            with open(said, encoding="utf-8") as file:
                return file.read()

    def start(self, wasi, function):
        store = wasmtime.Store(self.engine)
        store.set_wasi(wasi)
        linker = wasmtime.Linker(self.engine)
        linker.define_wasi()
        try:
            linker.instantiate(store, self.module).exports(store)["_start"](store)
        except wasmtime.ExitTrap as end:
            if end.code:
                raise SystemExit(f"{function} ended with {end.code}")


def named(text):
    """The name and the path in NAME=FILE; a file without a name goes by its own."""
    name, separator, path = text.partition("=")
    return (name, path) if separator else (os.path.splitext(os.path.basename(text))[0], text)


def native(script, data, path, **environment):
    """Runs a script of guest/ on the native Python, in a process of its own; returns what it printed."""
    command = [sys.executable, "-s", "-B", os.path.join(HERE, "guest", script, "function.py")]
    environment = {"PYTHONHASHSEED": "0", "PYTHONPATH": path, **environment}
    return subprocess.run(command, input=data, env=environment, stdout=subprocess.PIPE, check=True).stdout.decode()


def machine():
    """One line about what it is measured on, before or after."""
    load = " ".join(f"{value:.1f}" for value in os.getloadavg())
    return f"{os.cpu_count()} cores, load {load}; Python {sys.version.split()[0]}"


def low_and_middle(values, factor=1000, digits=1):
    """Minimum and median, in milliseconds."""
    return f"{min(values) * factor:.{digits}f} / {statistics.median(values) * factor:.{digits}f}"
