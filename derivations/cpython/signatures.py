"""Looks for C functions that Python would call with other arguments than they take.

Usage: signatures.py ARCHIVE refuse|report

Looks at every table of methods, getters and setters in a static library for wasm32, and compares the type that each function has with
the one that Python calls it by. A difference works on the usual processors. WebAssembly checks the type of a function that is called
through a pointer, and traps. The compiler can't see it where a function is cast twice, as in `(PyCFunction)(void(*)(void))f`, or declared without
its parameters, as in `void f()`: none of Python's tables is for functions that take and give nothing.
"""

import struct
import sys

import wasm

TABLE_INDEX, MEMORY_ADDRESS = 2, 5  # relocations, and the numbers below: tool-conventions/Linking.md
WITH_ADDEND = {3, 4, 5, 8, 9, 11, 14, 15, 16, 17, 21, 22, 23, 25}
I32 = b"\x7f"

# By a method's flags, without those that only say what it is bound to: how many arguments it is called with.
METHODS = {0x1: 2, 0x3: 3, 0x4: 2, 0x8: 2, 0x80: 3, 0x82: 4, 0x282: 5}
BINDING = 0x10 | 0x20 | 0x40


class Object:
    """What of an object file is needed: the functions' types, and the data with the addresses that are filled in."""

    def __init__(self, data):
        self.types, self.functions, self.segments, self.symbols, self.relocations = [], [], [], [], {}
        for kind, section in wasm.sections(data):
            name = section.block() if kind == wasm.CUSTOM else b""
            if kind == wasm.TYPES:
                self.types = wasm.types(section)
            elif kind == wasm.IMPORTS:
                self.functions += [number for _, _, of, number in wasm.imports(section) if of == "function"]
            elif kind == wasm.FUNCTIONS:
                self.functions += [section.number() for _ in range(section.number())]
            elif kind == wasm.DATA:
                self.read_data(section)
            elif name == b"linking":
                self.read_linking(section)
            elif name == b"reloc.DATA":
                self.read_relocations(section)

    def read_data(self, section):
        """Each segment as its content and where that begins in the section."""
        for _ in range(section.number()):
            if section.number() != 1:
                section.byte(), section.number(), section.byte()  # i32.const, where it will lie, end
            size = section.number()
            self.segments.append((section.at, section.take(size)))

    def read_linking(self, section):
        section.number()
        for kind, part in wasm.linking_parts(section):
            if kind == wasm.SYMBOL_TABLE:
                self.symbols = wasm.symbols(part)

    def read_relocations(self, section):
        section.number()
        for _ in range(section.number()):
            kind, offset, index = section.byte(), section.number(), section.number()
            if kind in WITH_ADDEND:
                section.number()
            self.relocations[offset] = kind, index

    def tables(self, width):
        """(name, rows) of every piece of data that consists of rows of so many words: (relocation's kind or None, symbol, word)."""
        for symbol in self.symbols:
            if not symbol.place or not symbol.place[2] or symbol.place[2] % (4 * width):
                continue
            segment, offset, size = symbol.place
            start, content = self.segments[segment]
            words = struct.unpack_from(f"<{size // 4}I", content, offset)
            cells = [(*self.relocations.get(start + offset + 4 * n, (None, 0)), word) for n, word in enumerate(words)]
            yield symbol.name.decode(), [cells[n:n + width] for n in range(0, len(cells), width)]

    def nothings(self):
        """The functions in tables that take and give nothing."""
        codes = {symbol for kind, symbol in self.relocations.values() if kind == TABLE_INDEX}
        return [name for name, *kind in map(self.type_of, codes) if kind == [b"", b""]]

    def type_of(self, symbol):
        """(the function's name, its parameters, its results)"""
        found = self.symbols[symbol]
        return found.name.decode(), *self.types[self.functions[found.index]]


EMPTY = (None, 0, 0)


def is_name(cell):
    return cell[0] == MEMORY_ADDRESS


def is_code(cell):
    return cell[0] == TABLE_INDEX


def is_number(cell):
    return cell[0] is None


def methods(rows):
    """(symbol, arguments) of the methods, if these are such: name, function, flags, documentation."""
    for name, function, flags, text in rows:
        if not (is_name(name) and is_code(function) and is_number(flags) and (is_name(text) or text == EMPTY)):
            return []
    called = [(function[1], METHODS.get(flags[2] & ~BINDING)) for _, function, flags, _ in rows]
    return called if all(arguments for _, arguments in called) else []


def accessors(rows):
    """(symbol, arguments) of getters and setters, if these are such: name, getter, setter, documentation, closure."""
    for name, getter, setter, text, _ in rows:
        codes = all(is_code(cell) or cell == EMPTY for cell in (getter, setter))
        if not (is_name(name) and codes and (is_name(text) or text == EMPTY)):
            return []
    return [(row[n][1], n + 1) for row in rows for n in (1, 2) if is_code(row[n])]


def members(path):
    """(name, content) of the object files in an archive."""
    with open(path, "rb") as file:
        archive = wasm.Reader(file.read())
    if archive.take(8) != b"!<arch>\n":
        raise SystemExit(f"{path} is no archive")
    names = b""
    while archive:
        header = archive.take(60)
        name, content = header[:16].strip(), archive.take(int(header[48:58]))
        archive.take(len(content) % 2)
        if name == b"//":
            names = content
        elif content[:4] == b"\0asm":
            name = names[int(name[1:]):].split(b"/\n")[0] if name[:1] == b"/" else name.rstrip(b"/")
            yield name.decode(), content


def main():
    archive, finding = sys.argv[1:]
    seen, wrong = 0, []
    for member, content in members(archive):
        found = Object(content)
        for name in found.nothings():
            wrong.append(f"{member}: {name} takes and gives nothing, and is called with something")
        for width, expected in ((4, methods), (5, accessors)):
            for table, rows in found.tables(width):
                while rows and all(cell == EMPTY for cell in rows[-1]):
                    rows.pop()
                for symbol, arguments in expected(rows):
                    name, parameters, results = found.type_of(symbol)
                    seen += 1
                    if (parameters, results) != (I32 * arguments, I32):
                        wrong.append(f"{member}: {name}, in {table}, takes {len(parameters)} arguments and is called with {arguments}")
    for line in sorted(set(wrong)):
        print(line, file=sys.stderr)
    if wrong and finding == "refuse":
        raise SystemExit("the functions above would trap: change the sources so that they take what they are called with")
    if not seen:
        raise SystemExit(f"{archive} has no methods: is it a library for wasm32?")
    print(f"{seen} methods, getters and setters; {len(set(wrong))} of them would trap")


main()
