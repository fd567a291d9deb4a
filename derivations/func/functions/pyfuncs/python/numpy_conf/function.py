"""Says how numpy was built, and checks what does not depend on it. Without numpy it says so, and ends with 77."""

import sys

SKIPPED = 77


def faasm_main():
    try:
        import numpy
    except ImportError as error:
        print("numpy is not in this runtime: {}".format(error), file=sys.stderr)
        return SKIPPED
    print("numpy {}".format(numpy.__version__))
    numpy.show_config()
    assert numpy.dtype(numpy.intp).itemsize == 4, "pointers of wasm32 have 32 bits"
    assert numpy.dtype("=i4").byteorder == "=" and sys.byteorder == "little"
    information = numpy.finfo(numpy.float64)
    assert information.eps == 2.0**-52 and information.max == sys.float_info.max
