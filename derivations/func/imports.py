"""Prints what a WebAssembly module imports; fails if it imports from another module than those allowed.

Usage: imports.py FILE MODULE ...
"""

import sys


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


def imports(data):
    """(module, name, kind) of every import."""
    module = Reader(data)
    if module.take(8) != b"\0asm\1\0\0\0":
        raise SystemExit("not a WebAssembly module")
    while module.at < len(data):
        section, content = module.byte(), Reader(module.take(module.number()))
        if section != 2:
            continue
        for _ in range(content.number()):
            source, name, kind = content.name(), content.name(), content.byte()
            if kind == 0:
                content.number()
            elif kind == 1:
                content.byte(), content.limits()
            elif kind == 2:
                content.limits()
            else:
                content.byte(), content.byte()
            yield source, name, ("function", "table", "memory", "global")[kind]


def main():
    path, *allowed = sys.argv[1:]
    with open(path, "rb") as file:
        found = list(imports(file.read()))
    for source, name, kind in sorted(found):
        print(f"{source}.{name} ({kind})")
    foreign = sorted({source for source, _, _ in found} - set(allowed))
    if foreign:
        raise SystemExit(f"imports from {', '.join(foreign)}, which is not allowed")


main()
