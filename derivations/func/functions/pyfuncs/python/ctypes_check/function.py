"""Exercises ctypes: everything but calls of foreign functions, which a WASI program can't load."""

import ctypes
import ctypes.util
import io
from ctypes import POINTER, byref, c_char, c_char_p, c_double, c_int, c_uint16, c_uint32, c_uint8, c_void_p, c_wchar_p, sizeof


def simple_types():
    assert [sizeof(kind) for kind in (c_uint8, ctypes.c_short, c_int, ctypes.c_long, ctypes.c_longlong, c_void_p)] == [1, 2, 4, 4, 8, 4]
    assert (sizeof(ctypes.c_float), sizeof(c_double), sizeof(ctypes.c_longdouble), sizeof(ctypes.c_wchar)) == (4, 8, 16, 4)
    assert c_uint8(300).value == 44 and c_int(2**31).value == -(2**31)
    assert c_double(0.1).value == 0.1 and ctypes.c_bool(3).value is True
    assert c_char_p(b"text").value == b"text" and c_wchar_p("text").value == "text" and c_char_p(None).value is None
    assert bytes(c_uint32(0x01020304)) == b"\4\3\2\1"


def structures():
    class Inner(ctypes.Structure):
        _fields_ = [("tag", c_char), ("value", c_double)]

    class Outer(ctypes.Structure):
        _fields_ = [("inner", Inner), ("small", c_uint16, 4), ("more", c_uint16, 12), ("many", c_uint8 * 3)]

    class Packed(ctypes.Structure):
        _pack_ = 1
        _fields_ = Inner._fields_

    class Number(ctypes.BigEndianStructure):
        _fields_ = [("value", c_uint32)]

    assert (Inner.value.offset, sizeof(Inner), sizeof(Packed), Outer.many.offset, sizeof(Outer)) == (8, 16, 9, 18, 24)
    outer = Outer(Inner(b"x", 2.5), 5, 77, (c_uint8 * 3)(7, 8, 9))
    outer.inner.value += 1
    assert (outer.inner.tag, outer.inner.value, outer.small, outer.more, list(outer.many)) == (b"x", 3.5, 5, 77, [7, 8, 9])
    assert bytes(Number(1)) == b"\0\0\0\1"


def unions_and_arrays():
    class Both(ctypes.Union):
        _fields_ = [("number", c_uint32), ("bytes", c_uint8 * 4)]

    both = Both(number=0x01020304)
    assert list(both.bytes) == [4, 3, 2, 1]
    both.bytes[3] = 0
    assert both.number == 0x020304
    grid = ((c_int * 3) * 2)((1, 2, 3), (4, 5, 6))
    assert grid[1][2] == 6 and len(grid) == 2 and grid[0][:] == [1, 2, 3]
    try:
        grid[2]
    except IndexError:
        return
    raise AssertionError("an array has no end")


def buffers():
    buffer = ctypes.create_string_buffer(b"abc", 10)
    assert (buffer.value, buffer.raw, len(buffer)) == (b"abc", b"abc" + bytes(7), 10)
    data = bytearray(b"\1\0\2\0")
    numbers = (c_uint16 * 2).from_buffer(data)
    numbers[1] = 0x0304
    assert data == b"\1\0\4\3"
    assert (c_uint16 * 2).from_buffer_copy(b"\1\0\2\0")[:] == [1, 2]
    assert memoryview(numbers).format == "<H" and io.BytesIO(b"\7\0").readinto(numbers) == 2 and numbers[0] == 7


def pointers():
    number = c_int(1)
    pointer = ctypes.pointer(number)
    pointer.contents.value = 2
    pointer[0] += 1
    assert number.value == 3
    assert not POINTER(c_int)() and byref(number) is not None
    words = (c_uint16 * 4)(1, 2, 3, 4)
    assert ctypes.cast(words, POINTER(c_uint16))[:4] == [1, 2, 3, 4]
    assert ctypes.cast(words, POINTER(c_uint32))[1] == 0x00040003
    assert c_uint16.from_address(ctypes.addressof(words) + 2).value == 2


def memory():
    buffer = ctypes.create_string_buffer(8)
    ctypes.memset(buffer, ord("x"), 4)
    ctypes.memmove(ctypes.byref(buffer, 4), b"yz", 2)
    assert ctypes.string_at(buffer) == b"xxxxyz" and ctypes.string_at(ctypes.addressof(buffer), 2) == b"xx"
    assert ctypes.wstring_at(c_wchar_p("text")) == "text"


def fails(exception, words, function, *arguments):
    try:
        function(*arguments)
    except exception as error:
        assert words in str(error), error
    else:
        raise AssertionError(f"{function} did not fail")


def what_can_not_be_had():
    fails(OSError, "libm.so: WASI programs can't load libraries", ctypes.CDLL, "libm.so")
    fails(AttributeError, "Py_GetVersion: WASI programs can't find functions by name", getattr, ctypes.pythonapi, "Py_GetVersion")
    fails(RuntimeError, "ffi_prep_closure", ctypes.CFUNCTYPE(c_int, c_int), abs)
    fails(RuntimeError, "ffi_prep_cif", ctypes.CFUNCTYPE(c_double, c_double)(1), 1.0)
    assert ctypes.util.find_library("m") is None


CHECKS = [simple_types, structures, unions_and_arrays, buffers, pointers, memory, what_can_not_be_had]


def faasm_main():
    for check in CHECKS:
        check()
        print(f"{check.__name__}: ok")
