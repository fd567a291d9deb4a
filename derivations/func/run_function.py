"""Runs one function of a runtime tree under wasmtime.

Usage: run-function RUNTIME [USER/]FUNCTION [--entry NAME]

The function's input is standard input, its output standard output, its exit status this program's. The guest sees the
runtime as its `/`, and an empty `/tmp` that it may write to and that is gone afterwards; beside it nothing of the machine but
the clock, random numbers and the three standard streams.
"""

import argparse
import os
import signal
import sys
import tempfile

# Beside the folder that this file is in.
sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.realpath(__file__))), "lib"))

import wasmtime  # noqa: E402  (only now can it be found)

RUNNER = "python/py_func/function.wasm"

# What Faasm sets for its Python functions.
ENVIRONMENT = {
    "PYTHONHOME": "/",
    "PYTHONHASHSEED": "0",
    "PYTHONNOUSERSITE": "on",
    "PYTHONWASM": "1",
}

# A guest's C stack is in its own memory (8 MiB). What it uses of the machine's stack beside that is little, but more than
# wasmtime's 512 KiB where Python recurses. It allows no more than this.
NATIVE_STACK = 2 << 20

TRAPPED = 126


def arguments():
    parser = argparse.ArgumentParser(prog="run-function", description=__doc__.splitlines()[0])
    parser.add_argument("runtime", help="the runtime's tree")
    parser.add_argument("function", help="FUNCTION or USER/FUNCTION")
    parser.add_argument("--entry", help="the entry to call, with the input as bytes (default: faasm_main, without)")
    return parser.parse_args()


def guest(runtime, scratch, function, entry):
    """The guest's view of the world."""
    wasi = wasmtime.WasiConfig()
    wasi.argv = [RUNNER, *(["--entry", entry] if entry else []), function]
    wasi.env = list(ENVIRONMENT.items())
    wasi.inherit_stdin()
    wasi.inherit_stdout()
    wasi.inherit_stderr()
    wasi.preopen_dir(runtime, "/")
    wasi.preopen_dir(scratch, "/tmp")
    return wasi


def main():
    # While the guest runs, nobody looks at what Python's own handler notes down.
    signal.signal(signal.SIGINT, signal.SIG_DFL)

    given = arguments()
    path = os.path.join(given.runtime, RUNNER)
    if not os.path.isfile(path):
        print(f"run-function: {given.runtime} is not a runtime: it has no {RUNNER}", file=sys.stderr)
        return 2

    config = wasmtime.Config()
    config.max_wasm_stack = NATIVE_STACK
    engine = wasmtime.Engine(config)
    store = wasmtime.Store(engine)
    linker = wasmtime.Linker(engine)
    linker.define_wasi()
    with tempfile.TemporaryDirectory() as scratch:
        store.set_wasi(guest(given.runtime, scratch, given.function, given.entry))
        try:
            instance = linker.instantiate(store, wasmtime.Module.from_file(engine, path))
            instance.exports(store)["_start"](store)
        except wasmtime.ExitTrap as end:
            return end.code
        except (wasmtime.Trap, wasmtime.WasmtimeError) as error:
            print(f"run-function: {given.function} stopped: {error}", file=sys.stderr)
            return TRAPPED
    return 0


sys.exit(main())
