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

# https://github.com/WebAssembly/tool-conventions/blob/main/Linking.md
FUNCTION, DATA, GLOBAL, SECTION, TAG, TABLE = range(6)
BINDING, LOCAL, UNDEFINED, EXPLICIT_NAME = 0x3, 0x2, 0x10, 0x40
SYMBOLS, COMDATS = 8, 7


class Reader:
    """Reads the pieces of WebAssembly's binary format from bytes."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def __bool__(self):
        return self.at < len(self.data)

    def take(self, count):
        piece = self.data[self.at:self.at + count]
        if len(piece) != count:
            raise SystemExit("an object file is truncated")
        self.at += count
        return piece

    def number(self):
        """An unsigned LEB128 number."""
        value = shift = 0
        while True:
            (byte,) = self.take(1)
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    def block(self):
        """Bytes behind their length."""
        return self.take(self.number())


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


def symbol(reader, rename):
    """One entry of the symbol table as it is to be, and the name under which it is visible elsewhere, if it is."""
    (kind,) = reader.take(1)
    flags = reader.number()
    defined = not flags & UNDEFINED
    index = name = place = b""
    if kind != DATA:
        index = number(reader.number())
    if kind == DATA or kind != SECTION and (defined or flags & EXPLICIT_NAME):
        name = reader.block()
    if kind == DATA and defined:
        place = b"".join(number(reader.number()) for _ in range(3))
    public = None
    if defined and kind != SECTION:
        if name in rename:
            flags &= ~BINDING
            public = name = rename[name]
        else:
            flags = flags & ~BINDING | LOCAL
    return bytes([kind]) + number(flags) + index + (block(name) if name else b"") + place, public


def symbol_table(content, rename):
    """The symbol table with all definitions local but those to rename, and those."""
    reader = Reader(content)
    entries = [symbol(reader, rename) for _ in range(reader.number())]
    return number(len(entries)) + b"".join(entry for entry, _ in entries), {public for _, public in entries} - {None}


def linking(content, rename):
    """The section `linking` made anew. Groups of definitions of which a linker takes one are gone: all are local."""
    reader, public = Reader(content), set()
    out = number(reader.number())
    while reader:
        (kind,), part = reader.take(1), reader.block()
        if kind == SYMBOLS:
            part, public = symbol_table(part, rename)
        if kind != COMDATS:
            out += bytes([kind]) + block(part)
    return out, public


def make_own(data, rename):
    """An object file that defines for others nothing but what `rename` has, under the new name; and what that is."""
    reader, public = Reader(data), set()
    out = reader.take(8)
    if out != b"\0asm\1\0\0\0":
        raise SystemExit("not an object file for WebAssembly")
    while reader:
        kind, content = reader.take(1), reader.block()
        section = Reader(content)
        if kind == b"\0" and section.block() == b"linking":
            content, public = linking(content[section.at:], rename)
            content = block(b"linking") + content
        out += kind + block(content)
    return out, public


def archive(module, source, target):
    """Writes the archive of one module and returns the name of its init function."""
    init = f"PyInit_{module}"
    expected = f"PyInit_{module.rpartition('.')[2]}"
    with open(source, "rb") as file:
        data, public = make_own(file.read(), {expected.encode(): init.encode()})
    if not public:
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
