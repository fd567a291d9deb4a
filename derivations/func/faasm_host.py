"""A Faasm of our own, for one run: answers the functions that a func.wasm for Faasm imports from `env`.

Input, output, state and chained calls are kept in this process's memory. Nothing else of the machine is reached: of what a guest
says, a host function only uses numbers, names and bytes of the guest's own memory, each checked against its bounds.

A chained call gets an instance and a state of its own, as if it ran on another machine: what its caller has not pushed it does not
see. It runs at once and to its end, so that a run is the same each time. Whatever the guest does wrong ends that call, as a
trap does.
"""

import json
import os
import threading

import wasmtime

from tiers import StateError, Tiers

with open(os.path.join(os.path.dirname(__file__), "interface.json"), encoding="utf-8") as file:
    INTERFACE = json.load(file)

# A run is at an end with these: calls that call each other without end.
MOST_CALLS = 1000
DEEPEST = 16

# A chained call runs on a thread of its own. It needs what wasmtime allows the guest, and something for Python.
THREAD_STACK = 16 << 20

# Switches of Faasm's configuration: those it has for tests, and what it would preload.
FLAGS = {"ALWAYS_ON": True, "ALWAYS_OFF": False, "PYTHON_PRELOAD": False}


class HostError(Exception):
    """A guest asked for what can't be."""


class Call:
    """One call of a function: what goes in, what comes out."""

    def __init__(self, user, function, entry, read_input, depth=0):
        self.user, self.function, self.entry = user, function, entry
        self.read_input = read_input
        self.depth = depth
        self.reads_stdin = False
        self.output = b""
        self.status = None
        self.state = None

    def __str__(self):
        return f"{self.user}/{self.function}" + (f" ({self.entry})" if self.entry else "")


class Host:
    """What the calls of one run have in common."""

    def __init__(self, start):
        """`start(call)` runs a call in an instance of its own and returns its exit status."""
        self.start = start
        self.shared = {}  # user → key → bytes
        self.calls = []

    def run(self, call):
        """Runs a call to its end; returns its exit status."""
        self.calls.append(call)
        call.state = Tiers(self.shared.setdefault(call.user, {}))
        call.status = self.start(call)
        return call.status

    def chain(self, caller, entry, data):
        """Runs another entry of the caller's function; returns the call's number."""
        if len(self.calls) >= MOST_CALLS:
            raise HostError(f"more than {MOST_CALLS} calls in one run")
        if caller.depth >= DEEPEST:
            raise HostError(f"calls are chained more than {DEEPEST} deep")
        call = Call(caller.user, caller.function, entry, lambda: data, caller.depth + 1)
        number = len(self.calls) + 1
        threading.stack_size(THREAD_STACK)
        thread = threading.Thread(target=self.run, args=[call])
        thread.start()
        thread.join()
        return number

    def await_call(self, number):
        """The exit status of a call that was chained."""
        if not 1 < number <= len(self.calls):
            raise HostError(f"there is no call {number}")
        status = self.calls[number - 1].status
        if status is None:
            raise HostError(f"call {number} waits for itself")
        return status

    def define(self, linker, call):
        """Gives a call the functions of the interface."""
        functions = Functions(self, call)
        i32 = wasmtime.ValType.i32()
        for name, function in INTERFACE["functions"].items():
            results = [i32] if function["result"] else []
            linker.define_func(
                INTERFACE["module"],
                name,
                wasmtime.FuncType([i32] * len(function["parameters"]), results),
                getattr(functions, name.replace("__faasm_", "")),
                access_caller=True,
            )


class Memory:
    """The memory of the guest that called, with checked bounds."""

    def __init__(self, caller):
        self.caller, self.memory = caller, caller["memory"]
        self.size = self.memory.data_len(caller)

    def read(self, start, length):
        start, length = unsigned(start), unsigned(length)
        if start + length > self.size:
            raise HostError(f"{length} bytes at {start} are outside the guest's memory")
        return bytes(self.memory.read(self.caller, start, start + length))

    def write(self, start, data):
        start = unsigned(start)
        if start + len(data) > self.size:
            raise HostError(f"{len(data)} bytes at {start} are outside the guest's memory")
        if data:
            self.memory.write(self.caller, data, start)

    def text(self, start):
        """The text up to the next NUL byte."""
        data, at = bytearray(), unsigned(start)
        while b"\0" not in data:
            piece = self.read(at, min(256, max(self.size - at, 1)))
            data, at = data + piece, at + len(piece)
        try:
            return bytes(data[: data.index(0)]).decode("utf-8")
        except UnicodeDecodeError:
            raise HostError("a name that is not UTF-8") from None


class Functions:
    """The interface's functions for one call, by their names without `__faasm_`."""

    def __init__(self, host, call):
        self.host, self.call = host, call

    def read_input(self, caller, buffer, length):
        data = self.call.read_input()
        if not unsigned(length):
            return signed(len(data))
        data = data[: unsigned(length)]
        Memory(caller).write(buffer, data)
        return signed(len(data))

    def write_output(self, caller, buffer, length):
        self.call.output = Memory(caller).read(buffer, length)

    def read_state(self, caller, key, buffer, length):
        memory = Memory(caller)
        key = memory.text(key)
        size = self.call.state.state_size(key)
        if not unsigned(length):
            return signed(size)
        value = self.state("read_state", key)
        if unsigned(length) < size:
            raise HostError(f"the state `{key}` has {size} bytes, and there is room for {unsigned(length)}")
        memory.write(buffer, value)
        return signed(size)

    def read_state_offset(self, caller, key, total, offset, buffer, length):
        memory = Memory(caller)
        memory.write(buffer, self.state("read_state_offset", memory.text(key), total, offset, length))

    def write_state(self, caller, key, data, length):
        memory = Memory(caller)
        self.state("write_state", memory.text(key), memory.read(data, length))

    def write_state_offset(self, caller, key, total, offset, data, length):
        memory = Memory(caller)
        self.state("write_state_offset", memory.text(key), total, offset, memory.read(data, length))

    def push_state(self, caller, key):
        self.state("push_state", Memory(caller).text(key))

    def push_state_partial(self, caller, key):
        self.state("push_state_partial", Memory(caller).text(key))

    def pull_state(self, caller, key, length):
        self.state("pull_state", Memory(caller).text(key), length)

    def chain_py(self, caller, name, data, length):
        memory = Memory(caller)
        return self.host.chain(self.call, memory.text(name), memory.read(data, length))

    def await_call(self, caller, call):
        return self.host.await_call(unsigned(call))

    def get_py_user(self, caller, buffer, length):
        self.name(caller, buffer, length, self.call.user)

    def get_py_func(self, caller, buffer, length):
        self.name(caller, buffer, length, self.call.function)

    def get_py_entry(self, caller, buffer, length):
        self.name(caller, buffer, length, self.call.entry or "")

    def conf_flag(self, caller, key):
        return int(FLAGS.get(Memory(caller).text(key), False))

    def name(self, caller, buffer, length, name):
        data = os.fsencode(name) + b"\0"
        if len(data) > unsigned(length):
            raise HostError(f"a name of {len(data) - 1} bytes, and there is room for {unsigned(length) - 1}")
        Memory(caller).write(buffer, data)

    def state(self, method, *arguments):
        try:
            return getattr(self.call.state, method)(*arguments)
        except StateError as error:
            raise HostError(str(error)) from None


def unsigned(number):
    return number & 0xFFFFFFFF


def signed(number):
    if number > 0x7FFFFFFF:
        raise HostError("more than the interface's numbers can say")
    return number
