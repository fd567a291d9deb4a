"""Times products of square matrices, as a function of the runtime or as a native program.

In, as JSON: a list of [type, size, repetitions]. Out, as JSON: for each, the seconds of every repetition.
"""

import json
import sys
from time import perf_counter

import numpy


def product(kind, size, repetitions):
    random = numpy.random.default_rng(1)
    one, other = random.random((size, size)).astype(kind), random.random((size, size)).astype(kind)
    made = one @ other
    # One of its rows the slow way: what is timed must be right.
    row = (one[size // 2].astype("float64")[:, None] * other).sum(axis=0)
    assert numpy.allclose(made[size // 2], row, rtol=1e-4), (kind, size)
    times = []
    for _ in range(repetitions):
        start = perf_counter()
        one @ other
        times.append(perf_counter() - start)
    return times


def run(text):
    print(json.dumps([product(*case) for case in json.loads(text)]))


if __name__ == "__main__":
    run(sys.stdin.buffer.read())
