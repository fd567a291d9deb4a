"""Exercises the language and the modules every program uses; says which check fails."""

import asyncio
import collections
import contextlib
import dataclasses
import datetime
import decimal
import enum
import functools
import itertools
import json
import math
import os
import re
import struct
import tempfile
import unicodedata


def generators():
    def numbers():
        received = yield 1
        yield received * 2
        yield from (6, 8)

    made = numbers()
    assert next(made) == 1
    assert made.send(2) == 4
    assert list(made) == [6, 8]


def closures_and_comprehensions():
    adders = [functools.partial(lambda a, b: a + b, i) for i in range(3)]
    assert [add(10) for add in adders] == [10, 11, 12]
    assert {k: v for k, v in zip("abc", itertools.count())} == {"a": 0, "b": 1, "c": 2}


def dictionaries_backwards():
    made = {"a": 1, "b": 2}
    assert list(reversed(made)) == list(reversed(made.keys())) == ["b", "a"]
    assert list(reversed(made.values())) == [2, 1]
    assert list(reversed(made.items())) == [("b", 2), ("a", 1)]


def exceptions():
    order = []
    with contextlib.suppress(ZeroDivisionError):
        try:
            1 / 0
        finally:
            order.append("finally")
    try:
        try:
            raise KeyError("inner")
        except KeyError as error:
            raise ValueError("outer") from error
    except ValueError as error:
        order.append(type(error.__cause__).__name__)
    assert order == ["finally", "KeyError"]


def deep_recursion_is_an_exception():
    def descend():
        return descend()

    try:
        descend()
    except RecursionError:
        return
    raise AssertionError("no RecursionError")


def classes():
    class Colour(enum.Enum):
        RED = 1

    @dataclasses.dataclass(order=True)
    class Point:
        x: int
        y: int = 0

    assert Colour(1) is Colour.RED
    assert Point(1) < Point(1, 2)
    assert list(reversed({"a": 1, "b": 2}.items())) == [("b", 2), ("a", 1)]
    assert collections.Counter("abca").most_common(1) == [("a", 2)]


def coroutines():
    async def double(number):
        return number * 2

    assert asyncio.run(double(21)) == 42


def numbers():
    assert 2**200 % 1_000_007 == pow(2, 200, 1_000_007)
    assert decimal.Decimal("0.1") + decimal.Decimal("0.2") == decimal.Decimal("0.3")
    assert math.isclose(math.sin(math.pi / 6), 0.5)
    assert struct.unpack("<hI", struct.pack("<hI", -2, 7)) == (-2, 7)


def text():
    assert "straße".upper() == "STRASSE"
    assert unicodedata.normalize("NFC", "e\u0301") == "é"
    assert re.sub(r"(\w+) (\w+)", r"\2 \1", "b a") == "a b"
    assert json.loads(json.dumps({"ä": [1, None, 2.5]})) == {"ä": [1, None, 2.5]}


def dates():
    moment = datetime.datetime(2000, 2, 29, tzinfo=datetime.timezone.utc)
    assert moment.isoformat() == "2000-02-29T00:00:00+00:00"


def files():
    """Only where there is a place to write to."""
    try:
        folder = tempfile.mkdtemp()
    except OSError:
        return
    path = os.path.join(folder, "file")
    with open(path, "w", encoding="utf-8") as file:
        file.write("text")
    assert os.listdir(folder) == ["file"]
    os.remove(path)
    os.rmdir(folder)


CHECKS = [
    generators,
    closures_and_comprehensions,
    dictionaries_backwards,
    exceptions,
    deep_recursion_is_an_exception,
    classes,
    coroutines,
    numbers,
    text,
    dates,
    files,
]


def faasm_main():
    for check in CHECKS:
        check()
        print(f"{check.__name__}: ok")
