"""Makes static archives of a package's native modules, and the list of them that func reads.

Usage: native.py PACKAGE MODULES NATIVE LIBRARIES DECLARED...

MODULES has an object file for each module, named as the module in full. They must be those DECLARED. NATIVE gets, in
lib/native/PACKAGE, an archive for each module, and modules.json:

    {"package": "yaml", "libraries": [], "modules": {"yaml._yaml": {"archive": "yaml._yaml.a", "init": "PyInit_yaml._yaml"}}}

LIBRARIES are those of the sysroot that func must link as well, separated by blanks.

What a module defines is its own, as if it were a shared library: every symbol becomes local but for the init function, and
that gets the module's full name. So two packages may both have a `_speedups`, and two modules the same helpers.
"""

import json
import os
import subprocess
import sys

import wasm

BINDING, LOCAL = 0x3, 0x2  # flags of a symbol


def number(value):
    """The shortest LEB128 form of an unsigned number."""
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def block(content):
    return number(len(content)) + content


def written(symbol):
    """A symbol as the format has it."""
    out = bytes([symbol.kind]) + number(symbol.flags)
    if symbol.kind != wasm.DATA_SYMBOL:
        out += number(symbol.index)
    return out + (block(symbol.name) if symbol.named else b"") + b"".join(map(number, symbol.place))


def own(symbol, rename):
    """A symbol as it is to be: local, unless it is to be renamed."""
    if not symbol.defined or symbol.kind == wasm.SECTION_SYMBOL:
        return symbol
    if symbol.name in rename:
        return symbol._replace(flags=symbol.flags & ~BINDING, name=rename[symbol.name])
    return symbol._replace(flags=symbol.flags & ~BINDING | LOCAL)


def linking(section, rename):
    """The section `linking` made anew, and the symbols. Groups of definitions of which a linker takes one are gone: all are local."""
    symbols = []
    out = block(b"linking") + number(section.number())
    for kind, part in wasm.linking_parts(section):
        content = part.data
        if kind == wasm.SYMBOL_TABLE:
            symbols = [own(symbol, rename) for symbol in wasm.symbols(part)]
            content = number(len(symbols)) + b"".join(map(written, symbols))
        if kind != wasm.COMDATS:
            out += bytes([kind]) + block(content)
    return out, symbols


def make_own(data, rename):
    """An object file that defines for others nothing but what `rename` has, under the new name; and whether it has that."""
    out, there = wasm.MAGIC, False
    for kind, section in wasm.sections(data):
        content = section.data
        if kind == wasm.CUSTOM and section.block() == b"linking":
            content, symbols = linking(section, rename)
            there = any(symbol.defined and symbol.name in rename.values() for symbol in symbols)
        out += bytes([kind]) + block(content)
    return out, there


def archive(module, source, target):
    """Writes the archive of one module and returns the name of its init function."""
    init = f"PyInit_{module}"
    expected = f"PyInit_{module.rpartition('.')[2]}"
    with open(source, "rb") as file:
        data, there = make_own(file.read(), {expected.encode(): init.encode()})
    if not there:
        raise SystemExit(f"the native module {module} has no init function: nothing in it defines {expected}")
    with open(f"{module}.o", "wb") as file:
        file.write(data)
    subprocess.run(["llvm-ar-14", "rcD", target, f"{module}.o"], check=True)
    return init


def main():
    package, modules, native, libraries, *declared = sys.argv[1:]
    found = sorted(os.listdir(modules)) if os.path.isdir(modules) else []
    if found != sorted(declared):
        raise SystemExit(
            f"{package} declares the native modules {', '.join(sorted(declared))}; its build made {', '.join(found) or 'none'}"
        )
    folder = os.path.join(native, "lib", "native", package)
    os.makedirs(folder)
    listed = {}
    for module in found:
        name = f"{module}.a"
        listed[module] = {"archive": name, "init": archive(module, os.path.join(modules, module), os.path.join(folder, name))}
    with open(os.path.join(folder, "modules.json"), "w", encoding="utf-8") as file:
        json.dump({"package": package, "libraries": libraries.split(), "modules": listed}, file, indent=1, sort_keys=True)
        file.write("\n")


main()
