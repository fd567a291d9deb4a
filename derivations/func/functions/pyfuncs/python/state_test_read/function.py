"""Reads the state that state_test_write pushed, in an earlier call."""

import sys

from pyfaasm.core import StateError, pull_state, read_state, read_state_offset, read_state_size

KEY = "state_test"
VALUE = bytes(range(256)) * 8


def faasm_main():
    if read_state_size(KEY) == 0:
        print("there is no state `{}`: state_test_write goes first".format(KEY), file=sys.stderr)
        return 1
    pull_state(KEY, len(VALUE))
    assert read_state(KEY, len(VALUE)) == VALUE
    assert read_state_offset(KEY, len(VALUE), 255, 2) == b"\xff\0"
    for wrong in (len(VALUE) - 1, len(VALUE) + 1):
        try:
            read_state(KEY, wrong)
        except StateError:
            continue
        raise AssertionError("{} bytes of {} could be read".format(wrong, len(VALUE)))
    print("read {} bytes".format(len(VALUE)))
