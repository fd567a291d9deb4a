"""Asks its host for what can't be, past pyfaasm's own checks, each in a call of its own."""

import _faasm

from pyfaasm.core import await_call, chain


def ask(data):
    which = data.decode()
    if which == "pull":
        _faasm.pull_state("none", 3)
    elif which == "await":
        _faasm.await_call(99)
    elif which == "await itself":
        _faasm.await_call(4)
    elif which == "another size":
        _faasm.write_state("key", b"12")
        _faasm.write_state("key", b"123")
    elif which == "outside":
        _faasm.read_state_offset("key", 10, 5, 6)


def faasm_main():
    for which in ("pull", "await", "await itself", "another size", "outside"):
        print("{}: {}".format(which, await_call(chain(ask, which.encode()))))
