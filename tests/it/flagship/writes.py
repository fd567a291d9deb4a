"""Prints, and writes two outputs."""

from pyfaasm.core import write_output


def faasm_main():
    write_output(b"first")
    print("printed")
    write_output(b"a\0b")
    return 3
