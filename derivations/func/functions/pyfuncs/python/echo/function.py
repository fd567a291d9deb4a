"""Gives its input back, byte for byte; `reverse` gives it back to front."""

from pyfaasm.core import get_input_len, read_input, write_output


def faasm_main():
    data = read_input()
    if len(data) != get_input_len():
        return 1
    write_output(data)


def reverse(input_bytes):
    # The input that an entry is given is the same that it could read.
    if input_bytes != read_input():
        return 1
    write_output(input_bytes[::-1])
