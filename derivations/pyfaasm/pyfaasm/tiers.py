"""State in two tiers: a call's own copies, and what calls have pushed for each other.

A write changes the copy. `push_state` makes it what others see, `pull_state` takes what others pushed; a value that the call
has no copy of yet is pulled when it is first used. A value keeps its size: Faasm gives it room once.

Used in two places: in the guest where no host keeps state (the profile `wasi`), and by `run-function`, which is the host of the
other profiles.
"""

import os
from urllib.parse import quote, unquote


class StateError(ValueError):
    """There is no such state, or it is not as large as was said."""


class Tiers:
    """The copies of one call, over `shared`, a mapping from key to bytes that all calls use."""

    def __init__(self, shared):
        self.shared = shared
        self.copies = {}
        self.changed = {}  # key → [(offset, end)] of what was written since the last push

    def state_size(self, key):
        """0 if there is none."""
        return len(self.copies.get(key) or self.shared.get(key) or b"")

    def read_state(self, key):
        return bytes(self._copy(key))

    def write_state(self, key, data):
        self._fits(key, len(data))
        self.copies[key] = bytearray(data)
        self.changed[key] = [(0, len(data))]

    def read_state_offset(self, key, total, offset, size):
        self._within(key, total, offset, size)
        return bytes(self._copy(key)[offset : offset + size])

    def write_state_offset(self, key, total, offset, data):
        self._within(key, total, offset, len(data))
        if not self.state_size(key):
            self.copies[key] = bytearray(total)
        self._copy(key)[offset : offset + len(data)] = data
        self.changed.setdefault(key, []).append((offset, offset + len(data)))

    def push_state(self, key):
        self.shared[key] = bytes(self._copy(key))
        self.changed.pop(key, None)

    def push_state_partial(self, key):
        """Pushes what was written, and nothing else; the copy then has what others pushed of the rest."""
        copy = self._copy(key)
        pushed = bytearray(self.shared.get(key) or bytes(len(copy)))
        for offset, end in self.changed.pop(key, []):
            pushed[offset:end] = copy[offset:end]
        self.shared[key] = bytes(pushed)
        self.copies[key] = pushed

    def pull_state(self, key, size):
        pushed = self.shared.get(key)
        if not pushed:
            raise StateError("nobody has pushed a state `{}`".format(key))
        self._has_size(key, len(pushed), size)
        self.copies[key] = bytearray(pushed)
        self.changed.pop(key, None)

    def _copy(self, key):
        if key not in self.copies:
            pushed = self.shared.get(key)
            if not pushed:
                raise StateError("there is no state `{}`".format(key))
            self.copies[key] = bytearray(pushed)
        return self.copies[key]

    def _fits(self, key, size):
        if size <= 0:
            raise StateError("the state `{}` can't have {} bytes".format(key, size))
        self._has_size(key, self.state_size(key) or size, size)

    def _within(self, key, total, offset, size):
        self._fits(key, total)
        if offset < 0 or size < 0 or offset + size > total:
            raise StateError(
                "{} bytes at offset {} are not within the {} bytes of the state `{}`".format(size, offset, total, key)
            )

    @staticmethod
    def _has_size(key, found, said):
        if found != said:
            raise StateError("the state `{}` has {} bytes, not {}".format(key, found, said))


class Folder:
    """A mapping from key to bytes, each in a file of its own in a folder."""

    def __init__(self, path):
        self.path = path

    def _file(self, key):
        # A key can be anything, a file's name can't: `.` and `..`, too, are quoted.
        return os.path.join(self.path, quote(key, safe="").replace(".", "%2E"))

    def get(self, key):
        try:
            with open(self._file(key), "rb") as file:
                return file.read()
        except FileNotFoundError:
            return None

    def __setitem__(self, key, value):
        # Written beside it and renamed: who reads meanwhile has the old value or the new one. No key's file is named like this.
        beside = os.path.join(self.path, ".new")
        with open(beside, "wb") as file:
            file.write(value)
        os.replace(beside, self._file(key))

    def __iter__(self):
        return (unquote(name) for name in sorted(os.listdir(self.path)) if name != ".new")
