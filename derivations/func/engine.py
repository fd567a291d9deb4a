"""The engine that runs a program, and the program compiled ahead for it.

WebAssembly is compiled to the machine's code before it runs, which takes seconds. That is done once, in a build: so it may not
depend on which machine that was, and both sides need the same settings.
"""

import hashlib
import os

import wasmtime

# What both sides have: x86-64-v2, all processors since 2009. Another processor is refused when the program is loaded.
TARGET = "x86_64-unknown-linux-gnu"
FEATURES = ["has_cmpxchg16b", "has_popcnt", "has_sse3", "has_ssse3", "has_sse41", "has_sse42"]

# A guest's C stack is in its own memory (8 MiB). What it uses of the machine's stack beside that is little, but more than
# wasmtime's 512 KiB where Python recurses. It allows no more than this.
NATIVE_STACK = 2 << 20


def engine():
    """The engine; a new one, for each has its own code."""
    config = wasmtime.Config()
    config.target = TARGET
    for feature in FEATURES:
        config.cranelift_flag_enable(feature)
    config.max_wasm_stack = NATIVE_STACK
    return wasmtime.Engine(config)


def compile_ahead(program, folder):
    """Compiles a program into a folder."""
    module = wasmtime.Module.from_file(engine(), program)
    with open(compiled(program, folder), "xb") as file:
        file.write(module.serialize())


def load(engine, program, folder):
    """A program, compiled ahead into the folder, or if there is none, now.

    Raises:
      FileNotFoundError: nothing in the folder was made of this program.
    """
    if folder is None:
        return wasmtime.Module.from_file(engine, program)
    path = compiled(program, folder)
    if not os.path.isfile(path):
        raise FileNotFoundError(f"{folder} was made of another program than {program}")
    return wasmtime.Module.deserialize_file(engine, path)


def compiled(program, folder):
    """Where a program's code is: under the name of what it was made of."""
    with open(program, "rb") as file:
        return os.path.join(folder, hashlib.file_digest(file, "sha256").hexdigest() + ".cwasm")
