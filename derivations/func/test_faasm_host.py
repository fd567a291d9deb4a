"""Tries to make faasm_host.py touch what is not the guest's, with guests of a few lines. The build of the runner runs this.

Usage: test_faasm_host.py LIB      LIB: the folder with wasmtime and faasm_host.py
"""

import sys
import unittest

sys.path.insert(0, sys.argv.pop(1))

import wasmtime  # noqa: E402  (only now can they be found)
from faasm_host import INTERFACE, Call, Host, HostError  # noqa: E402

PAGE = 65536

# The call is the last in main; what it returns is main's result.
GUEST = """(module
  {imports}
  (memory (export "memory") 1)
  (data (i32.const 0) "key\\00")
  (data (i32.const {end}) "open")
  (func (export "main") (result i32) {body}))"""


def imported():
    for name, function in INTERFACE["functions"].items():
        parameters, result = "i32 " * len(function["parameters"]), "(result i32)" if function["result"] else ""
        yield f'(import "env" "{name}" (func ${name[len("__faasm_"):]} (param {parameters}) {result}))'


class Hostile(unittest.TestCase):
    def setUp(self):
        self.host = Host(lambda call: 0)
        self.call = Call("user", "function", "entry", lambda: b"in\0put")
        self.host.run(self.call)

    def run_guest(self, name, *arguments):
        """Calls a function of the interface with these numbers; returns its result and the guest's memory."""
        engine = wasmtime.Engine()
        store, linker = wasmtime.Store(engine), wasmtime.Linker(engine)
        self.host.define(linker, self.call)
        body = " ".join(f"(i32.const {number})" for number in arguments)
        body = f"(call ${name} {body})" + ("" if INTERFACE["functions"]["__faasm_" + name]["result"] else " (i32.const 0)")
        text = GUEST.format(imports="\n".join(imported()), end=PAGE - 4, body=body)
        exports = linker.instantiate(store, wasmtime.Module(engine, text)).exports(store)
        return exports["main"](store), bytes(exports["memory"].read(store))

    def refused(self, why, name, *arguments):
        with self.assertRaisesRegex(HostError, why):
            self.run_guest(name, *arguments)

    def test_what_is_right_is_answered(self):
        self.assertEqual(self.run_guest("read_input", 0, 0)[0], 6)
        result, memory = self.run_guest("read_input", PAGE - 6, 6)
        self.assertEqual((result, memory[-6:]), (6, b"in\0put"))
        self.assertEqual(self.run_guest("read_input", 100, 2)[1][100:104], b"in\0\0")
        self.assertEqual(self.run_guest("get_py_entry", 100, 6)[1][100:106], b"entry\0")
        self.run_guest("write_output", 0, 4)
        self.assertEqual(self.call.output, b"key\0")

    def test_buffers_outside_the_memory(self):
        for start, length in ((PAGE - 5, 6), (PAGE, 6), (-1, 6), (0, -1), (-1, -1), (2**31 - 1, 2**31 - 1)):
            self.refused("outside the guest's memory", "write_output", start, length)
            self.refused("outside the guest's memory", "write_state", 0, start, length)
        for start in (PAGE - 5, PAGE, -1):
            self.refused("outside the guest's memory", "read_input", start, 6)
            self.refused("outside the guest's memory", "get_py_func", start, 100)

    def test_a_name_that_does_not_end(self):
        self.refused("outside the guest's memory", "push_state", PAGE - 4)
        self.refused("outside the guest's memory", "conf_flag", -1)

    def test_no_room_for_a_name_or_a_state(self):
        self.refused("room for 7", "get_py_func", 100, 8)
        self.refused("room for 4", "get_py_entry", 100, 5)
        self.call.state.write_state("key", b"12345")
        self.refused("room for 4", "read_state", 0, 100, 4)

    def test_parts_of_a_state(self):
        self.call.state.write_state("key", b"12345")
        for total, offset, length in ((6, 0, 1), (5, 5, 1), (5, -1, 1), (5, 0, -1), (5, 2**31 - 1, 2**31 - 1)):
            self.refused("has 5 bytes|not within|outside", "read_state_offset", 0, total, offset, 100, length)
            self.refused("has 5 bytes|not within|outside", "write_state_offset", 0, total, offset, 100, length)
        self.refused("bytes", "write_state_offset", 100, -1, 0, 100, 1)

    def test_states_and_calls_that_are_not_there(self):
        self.refused("no state `key`", "push_state", 0)
        self.refused("no state `key`", "read_state", 0, 100, 1)
        self.refused("pushed", "pull_state", 0, 1)
        for number in (-1, 0, 1, 2):
            self.refused("no call", "await_call", number)

    def test_users_do_not_see_each_others_state(self):
        self.run_guest("write_state", 0, 100, 5)
        self.run_guest("push_state", 0)
        self.assertEqual(self.run_guest("read_state", 0, 0, 0)[0], 5)
        self.call = Call("other", "function", None, bytes)
        self.host.run(self.call)
        self.assertEqual(self.run_guest("read_state", 0, 0, 0)[0], 0)


unittest.main()
