"""Runs functions of a runtime tree under wasmtime.

Usage: run-function RUNTIME [USER/]FUNCTION[,[USER/]FUNCTION ...] [--entry NAME] [--compiled FOLDER]

The function's input is standard input, its output standard output, its exit status this program's. The guest sees the
runtime as its `/`, and an empty `/tmp` that it may write to and that is gone afterwards; beside it nothing of the machine but
the clock, random numbers and the three standard streams.

Any profile of func.wasm can be run: one that imports Faasm's functions gets them from faasm_host.py. Several functions run one after
the other, until one fails, and share their state. The first of them gets the input.
"""

import argparse
import contextlib
import os
import signal
import sys
import tempfile

# Beside the folder that this file is in.
sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.realpath(__file__))), "lib"))

import wasmtime  # noqa: E402  (only now can they be found)
from engine import engine, load  # noqa: E402
from faasm_host import INTERFACE, Call, Host, HostError  # noqa: E402

RUNNER = "python/py_func/function.wasm"

# What Faasm sets for its Python functions.
ENVIRONMENT = {
    "PYTHONHOME": "/",
    "PYTHONHASHSEED": "0",
    "PYTHONNOUSERSITE": "on",
    "PYTHONWASM": "1",
}

# Where a guest that keeps its state itself finds what others kept.
STATE = "/state"

# The most memory that a guest can have: of the 4 GiB that WebAssembly allows, what a machine can spare.
MEMORY = 2 << 30

# How each kind of host starts a guest: as Faasm does, as its second runtime does, as WASI says. A chained call is started like that,
# too: as if on a host that has nothing started yet.
START = {
    "full": ["__wasm_call_ctors", "_faasm_zygote", "_start"],
    "minimal": ["__wasm_call_ctors", "_start"],
    "wasi": ["_start"],
}

TRAPPED = 126


def arguments():
    parser = argparse.ArgumentParser(prog="run-function", description=__doc__.splitlines()[0])
    parser.add_argument("runtime", help="the runtime's tree")
    parser.add_argument("functions", metavar="function", help="FUNCTION or USER/FUNCTION; several, with commas between them")
    parser.add_argument("--entry", help="the entry to call, with the input as bytes (default: faasm_main, without)")
    parser.add_argument("--compiled", metavar="FOLDER", help="where compile-function put the program (default: compile it now)")
    given = parser.parse_args()
    given.functions = given.functions.split(",")
    if given.entry and len(given.functions) > 1:
        parser.error("--entry goes with one function")
    return given


class Runner:
    """Runs calls, each in an instance of its own."""

    def __init__(self, runtime, compiled, state_folder, scratch):
        self.runtime, self.state_folder, self.scratch = runtime, state_folder, scratch
        self.engine = engine()
        self.module = load(self.engine, os.path.join(runtime, RUNNER), compiled)
        imported = {(wanted.module, wanted.name) for wanted in self.module.imports}
        self.is_faasm = any(module == INTERFACE["module"] for module, _ in imported)
        # Which function is meant it asks, or reads it in its arguments.
        self.asks = (INTERFACE["module"], "__faasm_get_py_func") in imported
        self.start_functions = START[("full" if self.asks else "minimal") if self.is_faasm else "wasi"]
        self.host = Host(self.start)

    def guest(self, call):
        """The guest's view of the world."""
        wasi = wasmtime.WasiConfig()
        wasi.argv = [RUNNER, *([] if self.asks else command_line(call))]
        environment = dict(ENVIRONMENT)
        wasi.preopen_dir(self.runtime, "/")
        wasi.preopen_dir(self.scratch, "/tmp")
        if self.state_folder and not self.is_faasm:
            wasi.preopen_dir(self.state_folder, STATE)
            environment["PYFAASM_STATE"] = STATE
        wasi.env = list(environment.items())
        if call.reads_stdin and not self.is_faasm:
            wasi.inherit_stdin()
        wasi.inherit_stdout()
        wasi.inherit_stderr()
        return wasi

    def start(self, call):
        """Runs a call in an instance of its own; returns its exit status."""
        store = wasmtime.Store(self.engine)
        store.set_limits(memory_size=MEMORY)
        store.set_wasi(self.guest(call))
        linker = wasmtime.Linker(self.engine)
        linker.define_wasi()
        if self.is_faasm:
            self.host.define(linker, call)
        try:
            exports = linker.instantiate(store, self.module).exports(store)
            for name in START["wasi"] if call.depth else self.start_functions:
                status = exports[name](store)
                if status:
                    return status
        except wasmtime.ExitTrap as end:
            return end.code
        except (wasmtime.Trap, wasmtime.WasmtimeError, HostError) as error:
            print(f"run-function: {call} stopped: {error}", file=sys.stderr, flush=True)
            return TRAPPED
        return 0


def command_line(call):
    """A call, for a guest that does not ask which it is."""
    return [*(["--entry", call.entry] if call.entry else []), f"{call.user}/{call.function}"]


def read_stdin():
    """Standard input, read when a function first asks for it, and kept."""
    kept = []

    def read():
        if not kept:
            kept.append(sys.stdin.buffer.read())
        return kept[0]

    return read


def calls(given):
    """What is to be called, in turn."""
    for number, name in enumerate(given.functions):
        user, slash, function = name.partition("/")
        if not slash:
            user, function = "python", name
        call = Call(user, function, given.entry, read_stdin() if number == 0 else bytes)
        call.reads_stdin = number == 0
        yield call


def main():
    # While the guest runs, nobody looks at what Python's own handler notes down.
    signal.signal(signal.SIGINT, signal.SIG_DFL)

    given = arguments()
    if not os.path.isfile(os.path.join(given.runtime, RUNNER)):
        print(f"run-function: {given.runtime} is not a runtime: it has no {RUNNER}", file=sys.stderr)
        return 2

    several = len(given.functions) > 1
    with tempfile.TemporaryDirectory() if several else contextlib.nullcontext() as state_folder, tempfile.TemporaryDirectory() as scratch:
        try:
            runner = Runner(given.runtime, given.compiled, state_folder, scratch)
        except (OSError, wasmtime.WasmtimeError) as error:
            print(f"run-function: cannot load {RUNNER} of {given.runtime}: {error}", file=sys.stderr)
            return 2
        for call in calls(given):
            status = runner.host.run(call)
            sys.stdout.buffer.write(call.output)
            sys.stdout.buffer.flush()
            if status != 0:
                return status
    return 0


sys.exit(main())
