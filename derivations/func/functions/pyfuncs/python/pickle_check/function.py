"""Pickles values with every protocol and compares what comes back."""

import collections
import copyreg
import datetime
import decimal
import io
import pickle


class Point:
    """Found again by its name: `function` is the name of this module when it runs."""

    def __init__(self, x, y):
        self.x, self.y = x, y

    def __eq__(self, other):
        return isinstance(other, Point) and vars(self) == vars(other)


class Closed:
    """Pickled through a reduction of its own."""

    def __init__(self, number):
        self.number = number

    def __eq__(self, other):
        return isinstance(other, Closed) and self.number == other.number


copyreg.pickle(Closed, lambda closed: (Closed, (closed.number,)))

VALUES = {
    "constants": [None, True, False, ...],
    "numbers": [0, -1, 2**100, 1.5, 1e308, 2 - 3j, decimal.Decimal("1.10")],
    "text and bytes": ["", "zażółć", "\U0001f40d", b"\x00\xff", bytearray(b"abc")],
    "containers": [(1, (2,)), {"a": [1]}, {1, 2}, frozenset("x"), collections.OrderedDict(a=1), collections.deque([1], 3)],
    "dates": [datetime.datetime(2020, 2, 29, 12, tzinfo=datetime.timezone.utc), datetime.timedelta(1, 2, 3)],
    "objects": [Point(1, [2]), Closed(7)],
}


def faasm_main():
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        for name, value in VALUES.items():
            assert pickle.loads(pickle.dumps(value, protocol)) == value, f"{name}, protocol {protocol}"
        shared = []
        twice = pickle.loads(pickle.dumps([shared, shared], protocol))
        assert twice[0] is twice[1], f"identity, protocol {protocol}"
        print(f"protocol {protocol}: ok")

    # The implementation in Python reads what the one in C wrote.
    stream = io.BytesIO(pickle.dumps(VALUES["containers"]))
    assert pickle._Unpickler(stream).load() == VALUES["containers"]
    print("pure Python: ok")
