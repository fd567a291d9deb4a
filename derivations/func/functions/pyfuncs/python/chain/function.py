"""Calls entries of its own, and looks at what comes back: exit statuses, and state that they pushed."""

import sys

from pyfaasm import core

# Functions that a test harness skips end like this.
SKIPPED = 77

KEY = "chained_{}"


def double(data):
    """Doubles a text of digits, with NUL bytes around it, by way of another call."""
    number = int(data.strip(b"\0"))
    if number < 100:
        status = core.await_call(core.chain(double, b"\0%d\0" % (number * 2)))
        assert status == 0, status
    # A call has copies of its own: this one was not here before.
    assert core.read_state_size(KEY.format(number)) == 0
    core.write_state(KEY.format(number), b"%04d" % (number * 2))
    core.push_state(KEY.format(number))


def seven(data):
    return len(data)


def fails(data):
    raise ValueError("on purpose")


def hides(data):
    """What is not pushed nobody else sees."""
    core.write_state("hidden", b"value")


def seen(data):
    return core.read_state_size(data.decode())


def status_of(entry, data=b""):
    return core.await_call(core.chain(entry, data))


def faasm_main():
    try:
        first = core.chain(seven, b"a\0b\0cde")
    except core.NotAvailable as error:
        print(error, file=sys.stderr)
        return SKIPPED
    second = core.chain(seven, bytes(11))
    assert first != second
    assert core.await_call(second) == 11
    assert core.await_call(first) == 7
    print("statuses: ok")

    assert status_of(double, b"25") == 0
    assert core.read_state(KEY.format(25)) == b"0050"
    assert core.read_state(KEY.format(50)) == b"0100"
    assert core.read_state(KEY.format(100)) == b"0200"
    print("calls of calls: ok")

    assert status_of(hides) == 0
    assert core.read_state_size("hidden") == 0
    core.write_state("mine", b"12345")
    assert status_of(seen, b"mine") == 0
    core.push_state("mine")
    assert status_of(seen, b"mine") == 5
    print("state: ok")

    assert status_of(fails) == 1
    assert status_of("no_such_entry") == 124
    print("failures: ok")
