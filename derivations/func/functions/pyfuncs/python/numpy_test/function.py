"""Checks numpy: arrays, products, linear algebra, Fourier transforms, random numbers. Without it it says so, and ends with 77."""

import sys

SKIPPED = 77


def arrays(numpy):
    numbers = numpy.arange(12, dtype=numpy.int64).reshape(3, 4)
    assert numbers[:, 1].tolist() == [1, 5, 9]
    assert numbers.sum(axis=0).tolist() == [12, 15, 18, 21]
    assert (numbers * 2 + 1).max() == 23
    assert numpy.frombuffer(numbers.tobytes(), dtype=numpy.int64).reshape(3, 4).tolist() == numbers.tolist()


def products(numpy):
    one = numpy.array([[1.0, 2.0], [3.0, 4.0]])
    assert (one @ one).tolist() == [[7.0, 10.0], [15.0, 22.0]]
    assert numpy.dot([1, 2, 3], [4, 5, 6]) == 32


def linear_algebra(numpy):
    matrix = numpy.array([[4.0, 1.0], [2.0, 3.0]])
    assert numpy.allclose(sorted(numpy.linalg.eigvals(matrix)), [2.0, 5.0])
    assert numpy.allclose(numpy.linalg.inv(matrix) @ matrix, numpy.eye(2))
    assert numpy.isclose(numpy.linalg.det(matrix), 10.0)


def fourier_transforms(numpy):
    signal = numpy.sin(numpy.linspace(0, 2 * numpy.pi, 64, endpoint=False) * 5)
    assert int(numpy.abs(numpy.fft.rfft(signal)).argmax()) == 5
    assert numpy.allclose(numpy.fft.ifft(numpy.fft.fft(signal)).real, signal)


def random_numbers(numpy):
    one, two = (numpy.random.default_rng(7).normal(size=1000) for _ in range(2))
    assert (one == two).all()
    assert abs(one.mean()) < 0.2 and 0.8 < one.std() < 1.2


def faasm_main():
    try:
        import numpy
    except ImportError as error:
        print("numpy is not in this runtime: {}".format(error), file=sys.stderr)
        return SKIPPED
    for check in (arrays, products, linear_algebra, fourier_transforms, random_numbers):
        check(numpy)
        print("{}: ok".format(check.__name__))
