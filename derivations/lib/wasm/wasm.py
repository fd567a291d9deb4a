"""Reads WebAssembly's binary format: modules and object files.

Formats: https://webassembly.github.io/spec/core/binary, and for the section `linking`
https://github.com/WebAssembly/tool-conventions/blob/main/Linking.md.
"""

from typing import NamedTuple

MAGIC = b"\0asm\1\0\0\0"
CUSTOM, TYPES, IMPORTS, FUNCTIONS, EXPORTS, DATA = 0, 1, 2, 3, 7, 11  # sections
KINDS = ("function", "table", "memory", "global", "tag")  # what can be imported and exported
SYMBOL_TABLE, COMDATS = 8, 7  # parts of the section `linking`
DATA_SYMBOL, SECTION_SYMBOL = 1, 3
UNDEFINED, EXPLICIT_NAME = 0x10, 0x40  # flags of a symbol


class Reader:
    """The pieces that the format consists of, from bytes."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def __bool__(self):
        return self.at < len(self.data)

    def take(self, count):
        piece = self.data[self.at:self.at + count]
        if len(piece) != count:
            raise SystemExit("what should be WebAssembly is truncated")
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

    def block(self):
        """Bytes behind their length."""
        return self.take(self.number())

    def name(self):
        return self.block().decode("utf-8")

    def limits(self):
        flags = self.byte()
        self.number()
        if flags & 1:
            self.number()


class Symbol(NamedTuple):
    """An entry of the symbol table. `place` is, of data that is defined here, its segment, offset and size; `index` is of all others."""

    kind: int
    flags: int
    index: int
    name: bytes
    place: tuple

    @property
    def defined(self):
        return not self.flags & UNDEFINED

    @property
    def named(self):
        """Whether the entry has its name. An import's is in the section of imports, unless it goes by another one here."""
        return self.kind == DATA_SYMBOL or self.kind != SECTION_SYMBOL and (self.defined or self.flags & EXPLICIT_NAME)


def sections(data):
    """(number, content) of every section."""
    reader = Reader(data)
    if reader.take(len(MAGIC)) != MAGIC:
        raise SystemExit("not a WebAssembly module")
    while reader:
        yield reader.byte(), Reader(reader.block())


def types(section):
    """The types of functions: (parameters, results), as the format's bytes."""
    found = []
    for _ in range(section.number()):
        if section.byte() != 0x60:
            raise SystemExit("a type that is no function's")
        found.append((section.block(), section.block()))
    return found


def imports(section):
    """(module, name, kind, type): the last is the number of a function's type, and None for anything else."""
    for _ in range(section.number()):
        module, name, kind, number = section.name(), section.name(), KINDS[section.byte()], None
        if kind == "function":
            number = section.number()
        elif kind == "table":
            section.byte(), section.limits()
        elif kind == "memory":
            section.limits()
        else:
            section.byte(), section.byte()
        yield module, name, kind, number


def exports(section):
    """The names that are exported."""
    for _ in range(section.number()):
        yield section.name()
        section.byte(), section.number()


def linking_parts(section):
    """(number, content) of the parts of the section `linking`; its version is read already."""
    while section:
        yield section.byte(), Reader(section.block())


def symbols(part):
    """The entries of a symbol table."""
    return [symbol(part) for _ in range(part.number())]


def symbol(reader):
    found = Symbol(reader.byte(), reader.number(), 0, b"", ())
    if found.kind != DATA_SYMBOL:
        found = found._replace(index=reader.number())
    if found.named:
        found = found._replace(name=reader.block())
    if found.kind == DATA_SYMBOL and found.defined:
        found = found._replace(place=(reader.number(), reader.number(), reader.number()))
    return found
