"""Multiplies two matrices that lie in the state, block by block, each block by a call of its own.

The input is "SIZE SPLITS": the matrices' size, and in how many blocks a side is cut (default: 64 4). Where calls can't be chained
the blocks are made here. Without numpy it says so, and ends with 77.
"""

import sys

from pyfaasm import core

SKIPPED = 77
A, B, C = "mat_mul_a", "mat_mul_b", "mat_mul_c"


def rows(numpy, key, size, first, count):
    """`count` rows of a matrix in the state, from the first."""
    row = size * 4
    data = core.read_state_offset(key, size * row, first * row, count * row)
    return numpy.frombuffer(data, dtype=numpy.float32).reshape(count, size)


def block(data):
    """Makes one block of the product. The input: the size of the matrices and of the block, and which block."""
    import numpy

    size, side, down, right = (int(number) for number in data.split())
    product = rows(numpy, A, size, down * side, side) @ rows(numpy, B, size, 0, size)[:, right * side : (right + 1) * side]
    for number, row in enumerate(product.astype(numpy.float32)):
        offset = ((down * side + number) * size + right * side) * 4
        core.write_state_offset(C, size * size * 4, offset, row.tobytes())
    if core.profile == "faasm":
        core.push_state_partial(C)


def faasm_main():
    try:
        import numpy
    except ImportError as error:
        print("numpy is not in this runtime: {}".format(error), file=sys.stderr)
        return SKIPPED
    size, splits = (int(number) for number in (core.read_input() or b"64 4").split())
    if size < 1 or splits < 1 or size % splits:
        print("{} does not divide into {} blocks".format(size, splits), file=sys.stderr)
        return 1
    side = size // splits

    numbers = numpy.random.default_rng(1)
    one, two = (numbers.random((size, size), dtype=numpy.float32) for _ in range(2))
    for key, matrix in ((A, one), (B, two), (C, numpy.zeros((size, size), dtype=numpy.float32))):
        core.write_state(key, matrix.tobytes())
        core.push_state(key)

    blocks = [b"%d %d %d %d" % (size, side, down, right) for down in range(splits) for right in range(splits)]
    if core.profile == "faasm":
        statuses = [core.await_call(call) for call in [core.chain(block, data) for data in blocks]]
        assert not any(statuses), statuses
        core.pull_state(C, size * size * 4)
    else:
        for data in blocks:
            block(data)
    assert numpy.allclose(rows(numpy, C, size, 0, size), one @ two, rtol=1e-4)
    print("{} blocks of {} by {}: ok".format(len(blocks), side, side))
