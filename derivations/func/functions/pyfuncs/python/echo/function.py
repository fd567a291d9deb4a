"""Gives its input back, byte for byte; `reverse` gives it back to front."""

import sys


def write(output):
    sys.stdout.buffer.write(output)


def faasm_main():
    write(sys.stdin.buffer.read())


def reverse(input_bytes):
    write(input_bytes[::-1])
