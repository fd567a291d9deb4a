"""Checks ctypes' types: sizes, layouts, arrays, pointers. Without ctypes it says so, and ends with 77."""

import sys

SKIPPED = 77


def sizes(ctypes):
    # Of wasm32: int, long and pointers have 32 bits.
    for kind, size in ((ctypes.c_short, 2), (ctypes.c_int, 4), (ctypes.c_long, 4), (ctypes.c_longlong, 8), (ctypes.c_void_p, 4)):
        assert ctypes.sizeof(kind) == size, (kind, ctypes.sizeof(kind))
    assert ctypes.c_uint8(257).value == 1


def structures(ctypes):
    class Mixed(ctypes.Structure):
        _fields_ = [("small", ctypes.c_char), ("large", ctypes.c_double), ("bits", ctypes.c_uint, 3)]

    assert (Mixed.large.offset, ctypes.sizeof(Mixed)) == (8, 24)
    made = Mixed(b"x", 1.5, 5)
    again = Mixed.from_buffer_copy(bytes(made))
    assert (again.small, again.large, again.bits) == (b"x", 1.5, 5)


def arrays_and_pointers(ctypes):
    numbers = (ctypes.c_int * 3)(1, 2, 3)
    pointer = ctypes.cast(numbers, ctypes.POINTER(ctypes.c_int))
    pointer[1] = 20
    assert list(numbers) == [1, 20, 3]
    text = ctypes.create_string_buffer(b"a\0b", 4)
    assert text.raw == b"a\0b\0" and text.value == b"a"


def faasm_main():
    try:
        import ctypes
    except ImportError as error:
        print("ctypes is not in this runtime: {}".format(error), file=sys.stderr)
        return SKIPPED
    for check in (sizes, structures, arrays_and_pointers):
        check(ctypes)
        print("{}: ok".format(check.__name__))
