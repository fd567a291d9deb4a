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

WASI = "wasi_snapshot_preview1"

EXPORTS = {
    "wasi": {"_start", "memory"},
    "faasm": {"_start", "memory", "_faasm_zygote", "__wasm_call_ctors", "__heap_base", "__data_end"},
}
EXPORTS["faasm-minimal"] = EXPORTS["faasm"]

VALUES = {0x7F: "i32", 0x7E: "i64", 0x7D: "f32", 0x7C: "f64", 0x7B: "v128", 0x70: "funcref", 0x6F: "externref"}
KINDS = ("function", "table", "memory", "global", "tag")


class Reader:
    """Reads the pieces of WebAssembly's binary format from bytes."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, count):
        piece = self.data[self.at:self.at + count]
        if len(piece) != count:
            raise SystemExit("the module is truncated")
        self.at += count
        return piece

    def byte(self):
        return self.take(1)[0]

    def number(self):
        """An unsigned LEB128 number."""
        value = shift = 0
        while True:
            byte = self.byte()
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    def name(self):
        return self.take(self.number()).decode("utf-8")

    def limits(self):
        flags = self.byte()
        self.number()
        if flags & 1:
            self.number()

    def values(self):
        return [VALUES[self.byte()] for _ in range(self.number())]

    def function_type(self):
        if self.byte() != 0x60:
            raise SystemExit("a type that is no function's")
        return f"({', '.join(self.values())}) -> ({', '.join(self.values())})"


def sections(data):
    """(number, content) of every section."""
    module = Reader(data)
    if module.take(8) != b"\0asm\1\0\0\0":
        raise SystemExit("not a WebAssembly module")
    while module.at < len(data):
        number = module.byte()
        yield number, Reader(module.take(module.number()))


def imports(data):
    """What is imported: (module, name) → its type."""
    types, found = [], {}
    for number, content in sections(data):
        if number == 1:
            types = [content.function_type() for _ in range(content.number())]
        if number != 2:
            continue
        for _ in range(content.number()):
            source, name, kind = content.name(), content.name(), content.byte()
            found[source, name] = KINDS[kind]
            if kind == 0:
                found[source, name] = types[content.number()]
            elif kind == 1:
                content.byte(), content.limits()
            elif kind == 2:
                content.limits()
            else:
                content.byte(), content.byte()
    return found


def exports(data):
    """The names that are exported."""
    found = set()
    for number, content in sections(data):
        if number == 7:
            for _ in range(content.number()):
                found.add(content.name())
                content.byte(), content.number()
    return found


def wanted(profile, interface):
    """What must be imported beside WASI's functions, as imports() gives it."""
    if profile == "wasi":
        return {}
    return {
        (interface["module"], name): f"({', '.join(['i32'] * len(function['parameters']))}) -> ({'i32' if function['result'] else ''})"
        for name, function in interface["functions"].items()
        if profile == "faasm" or not function.get("full")
    }


def faults(profile, interface, data):
    """What is wrong with a module, a sentence each."""
    found, must = imports(data), wanted(profile, interface)
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
    for name in sorted(EXPORTS[profile] - exports(data)):
        yield f"{name} is not exported, but must be"


def main():
    path, profile, interface = sys.argv[1:]
    if profile not in EXPORTS:
        raise SystemExit(f"there is no profile {profile}; there are: {', '.join(EXPORTS)}")
    with open(path, "rb") as file:
        data = file.read()
    with open(interface, encoding="utf-8") as file:
        wrong = list(faults(profile, json.load(file), data))
    for (source, name), kind in sorted(imports(data).items()):
        print(f"import {source}.{name} {kind}")
    for name in sorted(exports(data)):
        print(f"export {name}")
    if wrong:
        raise SystemExit(f"{path} does not fit the profile {profile}:\n" + "\n".join(f"  {fault}" for fault in wrong))


main()
