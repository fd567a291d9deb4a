"""pyfaasm.core without a guest: over a stand-in for `_faasm` of each profile.

The build of pyfaasm runs this. What the real `_faasm` does is tested by the sample functions, run on the built runtime.
"""

import importlib
import os
import sys
import tempfile
import types
import unittest

from pyfaasm import tiers

FULL = ("read_state_offset", "write_state_offset", "push_state_partial")
MINIMAL = ("state_size", "read_state", "write_state", "push_state", "pull_state")


def host(profile, shared=None):
    """A stand-in for the module `_faasm`."""
    module = types.ModuleType("_faasm")
    module.profile = profile
    module.output = None
    module.read_input = lambda: b"in\0put"
    module.write_output = lambda data: setattr(module, "output", data)
    module.conf_flag = lambda name: name == "ALWAYS_ON" and profile == "faasm"
    state = tiers.Tiers({} if shared is None else shared)
    for name in (() if profile == "wasi" else MINIMAL) + (FULL if profile == "faasm" else ()):
        setattr(module, name, getattr(state, name))
    if profile != "wasi":
        module.await_call = lambda call: call - 40
    if profile == "faasm":
        module.calls = []
        module.chain = lambda name, data: module.calls.append((name, data)) or 40 + len(module.calls)
    return module


def core_over(module):
    sys.modules["_faasm"] = module
    sys.modules.pop("pyfaasm.core", None)
    return importlib.import_module("pyfaasm.core")


def entry(data):
    entry.got = data


class EveryProfile:
    """Tests that are run for each of them."""

    def setUp(self):
        self.host = host(self.profile)
        self.core = core_over(self.host)

    def test_every_name_is_there(self):
        for name in self.core.__all__:
            self.assertTrue(hasattr(self.core, name), name)

    def test_input_keeps_its_nul_bytes(self):
        self.assertEqual(self.core.get_input_len(), 6)
        self.assertEqual(self.core.get_input(), b"in\0put")
        self.assertEqual(self.core.read_input(), b"in\0put")
        self.assertEqual(self.core.read_input(3), b"in\0")

    def test_output_may_be_anything_that_has_bytes_but_not_text(self):
        for output in (b"a\0b", bytearray(b"a\0b"), memoryview(b"a\0b")):
            self.core.set_output(output)
            self.assertEqual(self.host.output, b"a\0b")
        with self.assertRaisesRegex(TypeError, "bytes, not str"):
            self.core.write_output("text")
        with self.assertRaisesRegex(TypeError, "bytes, not int"):
            self.core.write_output(5)

    def test_output_can_be_kept_here(self):
        with self.assertRaises(RuntimeError):
            self.core.get_output()
        self.core.set_local_input_output(True)
        self.core.write_output(b"kept")
        self.assertEqual((self.core.get_output(), self.host.output), (b"kept", None))

    def test_state_is_read_back_whole_and_in_parts(self):
        self.core.write_state("key", b"0123\x00567")
        self.assertEqual(self.core.read_state_size("key"), 8)
        self.assertEqual(self.core.read_state("key"), b"0123\x00567")
        self.assertEqual(self.core.read_state("key", 8), b"0123\x00567")
        self.core.write_state_offset("key", 8, 2, b"\0\0")
        self.assertEqual(self.core.read_state_offset("key", 8, 1, 4), b"1\0\0\0")
        self.core.push_state("key")
        self.core.write_state("key", b"x" * 8)
        self.core.pull_state("key", 8)
        self.assertEqual(self.core.read_state("key"), b"01\0\0\x00567")

    def test_a_part_makes_a_state_that_is_zero_elsewhere(self):
        self.core.write_state_offset("new", 4, 1, b"ab")
        self.assertEqual(self.core.read_state("new", 4), b"\0ab\0")

    def test_a_state_that_is_not_there_is_named(self):
        self.assertEqual(self.core.read_state_size("none"), 0)
        for ask in (
            lambda: self.core.read_state("none"),
            lambda: self.core.read_state("none", 3),
            lambda: self.core.read_state_offset("none", 3, 0, 1),
            lambda: self.core.push_state("none"),
            lambda: self.core.push_state_partial("none"),
            lambda: self.core.pull_state("none", 3),
        ):
            with self.assertRaisesRegex(self.core.StateError, "no state `none`"):
                ask()

    def test_a_state_keeps_its_size(self):
        self.core.write_state("key", b"12345")
        for ask in (
            lambda: self.core.write_state("key", b"1234"),
            lambda: self.core.read_state("key", 6),
            lambda: self.core.read_state_offset("key", 6, 0, 1),
            lambda: self.core.write_state_offset("key", 4, 0, b"1"),
        ):
            with self.assertRaisesRegex(self.core.StateError, "has 5 bytes, not [46]"):
                ask()
        with self.assertRaisesRegex(self.core.StateError, "empty"):
            self.core.write_state("other", b"")

    def test_parts_outside_a_state_are_refused(self):
        self.core.write_state("key", b"12345")
        for offset, size in ((0, 6), (5, 1), (2**31 - 1, 1)):
            with self.assertRaisesRegex(self.core.StateError, "not within"):
                self.core.read_state_offset("key", 5, offset, size)
        for numbers in ((5, -1, 1), (5, 0, -1), (2**31, 0, 1)):
            with self.assertRaisesRegex(ValueError, "must be from 0 to"):
                self.core.read_state_offset("key", *numbers)

    def test_a_key_is_text_without_nul(self):
        for key in ("", "a\0b"):
            with self.assertRaises(ValueError):
                self.core.write_state(key, b"1")
        with self.assertRaises(TypeError):
            self.core.write_state(b"key", b"1")

    def test_only_what_has_a_name_at_the_top_can_be_chained(self):
        for func in (lambda data: None, EveryProfile.setUp, "no name", "", None):
            with self.assertRaises(ValueError):
                self.core.chain(func, b"")
        with self.assertRaises(TypeError):
            self.core.chain(entry, "text")

    def test_a_call_can_be_local(self):
        self.core.set_local_chaining(True)
        self.assertEqual(self.core.await_call(self.core.chain(entry, b"l\0cal")), 0)
        self.assertEqual(entry.got, b"l\0cal")

    def test_there_is_no_emulator(self):
        for ask in (lambda: self.core.set_emulator_message("{}"), lambda: self.core.set_emulator_status(1)):
            with self.assertRaisesRegex(self.core.NotAvailable, "kiln run"):
                ask()


class Faasm(EveryProfile, unittest.TestCase):
    profile = "faasm"

    def test_calls_and_flags_are_the_hosts(self):
        self.assertEqual([self.core.chain(entry, b"\0"), self.core.chain("other")], [41, 42])
        self.assertEqual(self.host.calls, [("entry", b"\0"), ("other", b"")])
        self.assertEqual(self.core.await_call(42), 2)
        self.assertTrue(self.core.conf_flag("ALWAYS_ON"))


class Minimal(EveryProfile, unittest.TestCase):
    profile = "faasm-minimal"

    def test_what_the_host_lacks_says_so(self):
        self.core.write_state("key", b"1")
        for ask in (lambda: self.core.chain(entry), lambda: self.core.push_state_partial("key")):
            with self.assertRaisesRegex(self.core.NotAvailable, "`faasm-minimal`"):
                ask()
        self.assertFalse(self.core.conf_flag("ALWAYS_ON"))


class Wasi(EveryProfile, unittest.TestCase):
    profile = "wasi"

    def test_chaining_says_that_it_can_not_be(self):
        for ask in (lambda: self.core.chain(entry), lambda: self.core.await_call(1)):
            with self.assertRaisesRegex(self.core.NotAvailable, "`wasi`"):
                ask()

    def test_a_folder_keeps_state_from_call_to_call(self):
        with tempfile.TemporaryDirectory() as folder:
            os.environ["PYFAASM_STATE"] = folder
            try:
                for key in ("plain", "../up", ".", "a/b", "ż\n"):
                    core = core_over(host("wasi"))
                    core.write_state(key, key.encode())
                    core.push_state(key)
                    core.write_state(key, b"?" * len(key.encode()))
                    self.assertEqual(core_over(host("wasi")).read_state(key), key.encode())
                self.assertEqual(len(os.listdir(folder)), 5)
                self.assertEqual(sorted(tiers.Folder(folder)), sorted(["plain", "../up", ".", "a/b", "ż\n"]))
            finally:
                del os.environ["PYFAASM_STATE"]


class TwoCalls(unittest.TestCase):
    """What one call sees of another's state."""

    def test_only_what_was_pushed(self):
        shared = {}
        one, two = tiers.Tiers(shared), tiers.Tiers(shared)
        one.write_state("key", b"first")
        self.assertEqual(two.state_size("key"), 0)
        one.push_state("key")
        self.assertEqual(two.read_state("key"), b"first")
        one.write_state("key", b"other")
        one.push_state("key")
        self.assertEqual(two.read_state("key"), b"first")
        two.pull_state("key", 5)
        self.assertEqual(two.read_state("key"), b"other")

    def test_a_partial_push_leaves_the_others_parts_alone(self):
        shared = {}
        one, two = tiers.Tiers(shared), tiers.Tiers(shared)
        one.write_state_offset("key", 4, 0, b"ab")
        two.write_state_offset("key", 4, 2, b"cd")
        one.push_state_partial("key")
        two.push_state_partial("key")
        self.assertEqual(shared["key"], b"abcd")
        self.assertEqual(two.read_state("key"), b"abcd")


if __name__ == "__main__":
    unittest.main()
