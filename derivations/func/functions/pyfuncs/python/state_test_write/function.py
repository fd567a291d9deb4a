"""Writes and pushes the state that state_test_read reads, in another call."""

from pyfaasm.core import (
    pull_state,
    push_state,
    read_state,
    read_state_offset,
    read_state_size,
    write_state,
    write_state_offset,
)

KEY = "state_test"
VALUE = bytes(range(256)) * 8


def faasm_main():
    write_state(KEY, VALUE[::-1])
    assert read_state_size(KEY) == len(VALUE)
    assert read_state(KEY, len(VALUE)) == VALUE[::-1]

    # In two parts, one of them over a border between what was written.
    write_state_offset(KEY, len(VALUE), 0, VALUE[:1000])
    write_state_offset(KEY, len(VALUE), 900, VALUE[900:])
    assert read_state_offset(KEY, len(VALUE), 990, 20) == VALUE[990:1010]
    push_state(KEY)

    # What was not pushed is gone when the state is pulled.
    write_state(KEY, bytes(len(VALUE)))
    pull_state(KEY, len(VALUE))
    assert read_state(KEY) == VALUE
    print("wrote and pushed {} bytes".format(len(VALUE)))
