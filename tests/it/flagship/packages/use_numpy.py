"""numpy's core, files, linalg, fft and random, each against what plain Python makes of it."""

import cmath
import io
import os
import tempfile

import numpy as np


def core():
    table = np.arange(24, dtype=np.float64).reshape(2, 3, 4)
    assert table.sum() == 276 and table.transpose(2, 0, 1).shape == (4, 2, 3)
    assert np.sort(np.array([3, 1, 2]))[::-1].tolist() == [3, 2, 1]
    assert np.array_equal(np.array([1, 2]) @ np.array([[1, 2], [3, 4]]), [7, 10])
    assert np.vdot([1j, 2], [3, 4j]) == 5j
    words = np.array(["b", "a"], dtype="U4")
    assert np.sort(words).tolist() == ["a", "b"]
    assert np.core._multiarray_umath.__name__ == "numpy.core._multiarray_umath"
    file = io.BytesIO()
    np.save(file, table)
    file.seek(0)
    assert np.array_equal(np.load(file), table)
    assert "%.4f" % np.float64(1) == "1.0000" and repr(np.float64(0.1)) == "0.1" and str(np.longdouble(2)) == "2.0"


def files():
    """What is written to a file in /tmp is read from it: whole, from the middle, and beside what Python itself writes there."""
    table = np.arange(100_000, dtype="<f8").reshape(1000, 100)
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "table")
        np.save(path, table)
        assert os.path.getsize(path + ".npy") == 128 + table.nbytes
        assert np.array_equal(np.load(path + ".npy"), table)
        np.savez_compressed(path, table=table, words=np.array(["a", "bc"]))
        with np.load(path + ".npz") as archive:
            assert np.array_equal(archive["table"], table) and archive["words"].tolist() == ["a", "bc"]
        with open(path, "w+b") as file:
            file.write(b"head")
            table.tofile(file)
            file.write(b"tail")
            assert file.tell() == 8 + table.nbytes
            file.seek(4 + 8 * 50)
            assert np.fromfile(file, "<f8", 3).tolist() == [50, 51, 52]
            assert file.read(8) == np.array(53, "<f8").tobytes()
            assert np.fromfile(file, "<f8", table.size - 54)[-1] == table.size - 1 and file.read() == b"tail"
        assert np.array_equal(np.fromfile(path, "<f8", offset=4, count=table.size), table.ravel())
        np.savetxt(path, table[:3])
        assert np.array_equal(np.loadtxt(path), table[:3])


def linear_algebra():
    matrix = np.array([[4.0, 1.0, 2.0], [1.0, 3.0, 0.5], [2.0, 0.5, 5.0]])
    assert np.allclose(np.linalg.inv(matrix) @ matrix, np.eye(3))
    values, vectors = np.linalg.eigh(matrix)
    assert np.allclose(matrix @ vectors, vectors * values)
    assert np.allclose(np.linalg.solve(matrix, [1, 2, 3]) @ matrix.T, [1, 2, 3])
    u, s, v = np.linalg.svd(matrix)
    assert np.allclose(u * s @ v, matrix)


def fourier():
    signal = [0.5, 1, -2, 3, 0, 4]
    n = len(signal)
    plain = [sum(x * cmath.exp(-2j * cmath.pi * k * i / n) for i, x in enumerate(signal)) for k in range(n)]
    assert np.allclose(np.fft.fft(signal), plain)
    assert np.allclose(np.fft.irfft(np.fft.rfft(signal)), signal)


def random():
    import random as plain

    plain.seed(42)
    state = plain.getstate()[1]
    generator = np.random.RandomState()
    generator.set_state(("MT19937", state[:-1], state[-1]))
    assert [generator.random_sample() for _ in range(9)] == [plain.random() for _ in range(9)]
    for kind in (np.random.MT19937, np.random.PCG64, np.random.Philox, np.random.SFC64):
        draws = np.random.Generator(kind(1)).normal(size=4000)
        assert abs(draws.mean()) < 0.1 and abs(draws.std() - 1) < 0.1, kind


def faasm_main():
    for check in (core, files, linear_algebra, fourier, random):
        check()
        print(f"numpy {check.__name__}: ok")
