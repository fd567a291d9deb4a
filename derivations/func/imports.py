"""Checks what func.wasm imports and exports, and prints it.

Usage: imports.py FILE PROFILE INTERFACE

PROFILE says which functions of Faasm must be imported, each with its exact type, beside those of WASI:

    wasi            none
    faasm           all of INTERFACE, which is interface.json
    faasm-minimal   those that are not marked as `full`

Nothing else may be imported, and nothing of it may be missing: a host finds out by the list what it has to offer. A program for
Faasm must also export what Faasm calls and looks for.
"""

import json
import sys

import wasm

WASI = "wasi_snapshot_preview1"

EXPORTS = {
    "wasi": {"_start", "memory"},
    "faasm": {"_start", "memory", "_faasm_zygote", "__wasm_call_ctors", "__heap_base", "__data_end"},
}
EXPORTS["faasm-minimal"] = EXPORTS["faasm"]

VALUES = {0x7F: "i32", 0x7E: "i64", 0x7D: "f32", 0x7C: "f64", 0x7B: "v128", 0x70: "funcref", 0x6F: "externref"}


def written(kind):
    """A function's type as it is shown."""
    parameters, results = (", ".join(VALUES[value] for value in values) for values in kind)
    return f"({parameters}) -> ({results})"


def interface_of(data):
    """What a module imports, (module, name) → its type, and the names that it exports."""
    types, imported, exported = [], {}, set()
    for number, content in wasm.sections(data):
        if number == wasm.TYPES:
            types = wasm.types(content)
        elif number == wasm.IMPORTS:
            for module, name, kind, of in wasm.imports(content):
                imported[module, name] = kind if of is None else written(types[of])
        elif number == wasm.EXPORTS:
            exported.update(wasm.exports(content))
    return imported, exported


def wanted(profile, interface):
    """What must be imported beside WASI's functions, as imports() gives it."""
    if profile == "wasi":
        return {}
    return {
        (interface["module"], name): f"({', '.join(['i32'] * len(function['parameters']))}) -> ({'i32' if function['result'] else ''})"
        for name, function in interface["functions"].items()
        if profile == "faasm" or not function.get("full")
    }


def faults(profile, interface, found, exported):
    """What is wrong with a module, a sentence each."""
    must = wanted(profile, interface)
    for key in sorted(found.keys() | must.keys()):
        name = ".".join(key)
        if key not in found:
            yield f"{name} is not imported, but must be"
        elif key[0] == WASI and key not in must:
            continue
        elif key not in must:
            yield f"{name} is imported, but must not be"
        elif found[key] != must[key]:
            yield f"{name} is {found[key]}, but must be {must[key]}"
    for name in sorted(EXPORTS[profile] - exported):
        yield f"{name} is not exported, but must be"


def main():
    path, profile, interface = sys.argv[1:]
    if profile not in EXPORTS:
        raise SystemExit(f"there is no profile {profile}; there are: {', '.join(EXPORTS)}")
    with open(path, "rb") as file:
        imported, exported = interface_of(file.read())
    with open(interface, encoding="utf-8") as file:
        wrong = list(faults(profile, json.load(file), imported, exported))
    for (source, name), kind in sorted(imported.items()):
        print(f"import {source}.{name} {kind}")
    for name in sorted(exported):
        print(f"export {name}")
    if wrong:
        raise SystemExit(f"{path} does not fit the profile {profile}:\n" + "\n".join(f"  {fault}" for fault in wrong))


main()
