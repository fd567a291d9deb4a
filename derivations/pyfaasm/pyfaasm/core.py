"""What a function can ask of its host.

On Faasm (the profiles `faasm` and `faasm-minimal` of func.wasm) the host answers. Without Faasm (the profile `wasi`) input and
output are the standard streams, and state is kept here: in memory, so that it ends with the call, or in the folder that
the variable PYFAASM_STATE names. What a profile can't do raises NotAvailable.

Input, output and state are bytes, and a NUL byte is nothing special.
"""

import os

import _faasm

from pyfaasm.tiers import Folder, StateError, Tiers

__all__ = [
    "NotAvailable",
    "StateError",
    "await_call",
    "chain",
    "conf_flag",
    "get_emulator_async_response",
    "get_input",
    "get_input_len",
    "get_output",
    "profile",
    "pull_state",
    "push_state",
    "push_state_partial",
    "read_input",
    "read_state",
    "read_state_offset",
    "read_state_size",
    "set_emulator_message",
    "set_emulator_status",
    "set_local_chaining",
    "set_local_input_output",
    "set_output",
    "write_output",
    "write_state",
    "write_state_offset",
]

# Which functions the host has: "faasm", "faasm-minimal" or "wasi".
profile = _faasm.profile

# Faasm's numbers have 32 bits.
_LARGEST = 2**31 - 1


class NotAvailable(RuntimeError):
    """The host has no such function."""

    def __init__(self, what, why=None):
        super().__init__("{} is not available: {}".format(what, why or "a host of the profile `{}` has no such function".format(profile)))


def _own_state():
    folder = os.environ.get("PYFAASM_STATE")
    return Tiers(Folder(folder) if folder else {})


_state = _faasm if hasattr(_faasm, "write_state") else _own_state()


# Input and output


def get_input_len():
    """How many bytes the input has."""
    return len(_faasm.read_input())


def get_input():
    """The function's input: the same bytes however often it is asked for."""
    return _faasm.read_input()


def read_input(input_len=None):
    """The function's input, or its first `input_len` bytes."""
    data = _faasm.read_input()
    return data if input_len is None else data[: _size("input_len", input_len)]


def write_output(output):
    """Makes `output` the function's output. What was written last counts."""
    global _local_output
    data = _data("output", output)
    if _local_streams:
        _local_output = data
    else:
        _faasm.write_output(data)


set_output = write_output


def get_output():
    """The output, if it is kept here: see set_local_input_output()."""
    if not _local_streams:
        raise RuntimeError("the output went to the host; only what set_local_input_output(True) keeps here can be got back")
    return _local_output


# State


def read_state_size(key):
    """How many bytes a state has; 0 if there is none."""
    return _state.state_size(_key(key))


def read_state(key, state_len=None):
    """The value of a state, which must have `state_len` bytes if that is given."""
    _must_exist(key, state_len)
    return _state.read_state(key)


def read_state_offset(key, total_len, offset, offset_len):
    """`offset_len` bytes at `offset` of a state of `total_len` bytes."""
    total, offset, size = _part(total_len, offset, offset_len)
    _must_exist(key, total)
    if hasattr(_state, "read_state_offset"):
        return _state.read_state_offset(key, total, offset, size)
    return _state.read_state(key)[offset : offset + size]


def write_state(key, value):
    """Gives a state its value. A state keeps the size that it was first given."""
    data = _data("value", value)
    if not data:
        raise StateError("a state can't be empty")
    _may_have(key, len(data))
    _state.write_state(key, data)


def write_state_offset(key, total_len, offset, value):
    """Writes a part of a state of `total_len` bytes. If there is none yet, the rest is zero."""
    data = _data("value", value)
    total, offset, size = _part(total_len, offset, len(data))
    found = _may_have(key, total)
    if hasattr(_state, "write_state_offset"):
        _state.write_state_offset(key, total, offset, data)
        return
    whole = bytearray(_state.read_state(key) if found else total)
    whole[offset : offset + size] = data
    _state.write_state(key, bytes(whole))


def push_state(key):
    """Makes a state what other calls see of it."""
    _must_exist(key)
    _state.push_state(key)


def push_state_partial(key):
    """Pushes those parts of a state that were written since it was last pushed."""
    _must_exist(key)
    if not hasattr(_state, "push_state_partial"):
        raise NotAvailable("push_state_partial()")
    _state.push_state_partial(key)


def pull_state(key, state_len):
    """Takes what other calls have pushed of a state of `state_len` bytes."""
    _must_exist(key, state_len)
    _state.pull_state(key, _size("state_len", state_len))


# Calls


def chain(func, input_data=b""):
    """Calls another entry of this function.py, with `input_data`; returns the call's number, for await_call()."""
    data = _data("input_data", input_data)
    name = _entry_name(func)
    if _local_chaining:
        if not callable(func):
            raise TypeError("a local call needs the function itself, not its name")
        func(data)
        return 0
    if not hasattr(_faasm, "chain"):
        raise NotAvailable("chain()")
    return _faasm.chain(name, data)


def await_call(call_id):
    """Waits until a call has ended; returns its exit status, 0 if all was well."""
    if _local_chaining:
        return 0
    if not hasattr(_faasm, "await_call"):
        raise NotAvailable("await_call()")
    return _faasm.await_call(call_id)


def conf_flag(key):
    """Whether the host's configuration has this switch on."""
    return _faasm.conf_flag(_key(key))


# For a function's own tests


_local_chaining = bool(os.environ.get("PYTHON_LOCAL_CHAINING"))
_local_streams = bool(os.environ.get("PYTHON_LOCAL_OUTPUT"))
_local_output = None


def set_local_chaining(value):
    """chain() is to run the function here and now."""
    global _local_chaining
    _local_chaining = bool(value)


def set_local_input_output(value):
    """write_output() is to keep the output here, for get_output()."""
    global _local_streams, _local_output
    _local_streams = bool(value)
    _local_output = None


def _no_emulator(what):
    raise NotAvailable(what, "there is no emulator in a guest; `kiln run` is the host to try a function with")


def set_emulator_message(message_json):
    _no_emulator("set_emulator_message()")


def set_emulator_status(success):
    _no_emulator("set_emulator_status()")


def get_emulator_async_response():
    _no_emulator("get_emulator_async_response()")


# What arguments may be


def _key(key):
    if not isinstance(key, str):
        raise TypeError("a key must be text, not {}".format(type(key).__name__))
    if not key or "\0" in key:
        raise ValueError("a key must not be empty, and have no NUL character: {!r}".format(key))
    return key


def _data(what, value):
    """The bytes of whatever has bytes; text has none until it is encoded."""
    if isinstance(value, bytes):
        return value
    try:
        return bytes(memoryview(value))
    except TypeError:
        raise TypeError("{} must be bytes, not {}".format(what, type(value).__name__)) from None


def _size(what, value):
    number = int(value)
    if not 0 <= number <= _LARGEST:
        raise ValueError("{} must be from 0 to {}, not {}".format(what, _LARGEST, number))
    return number


def _part(total, offset, size):
    total, offset, size = _size("total_len", total), _size("offset", offset), _size("the part's length", size)
    if offset + size > total:
        raise StateError("{} bytes at offset {} are not within {} bytes".format(size, offset, total))
    return total, offset, size


def _may_have(key, size):
    """A state's size, 0 if there is none; an error if it has another than `size`, for the host would not look."""
    found = _state.state_size(_key(key))
    if found > 0 and found != size:
        raise StateError("the state `{}` has {} bytes, not {}".format(key, found, size))
    return max(found, 0)


def _must_exist(key, size=None):
    found = _state.state_size(_key(key))
    if found <= 0:
        raise StateError("there is no state `{}`".format(key))
    if size is not None:
        _may_have(key, _size("the state's length", size))


def _entry_name(func):
    """The name by which the callee finds `func` in its own function.py."""
    name = func if isinstance(func, str) else getattr(func, "__name__", None)
    if not name or not name.isidentifier() or getattr(func, "__qualname__", name) != name:
        raise ValueError("{!r} can't be called by its name: it is no function at the top of function.py".format(func))
    return name
