"""Keeps a dictionary in one state, an item to a slot, and changes it slot by slot."""

import json

from pyfaasm import core

KEY = "dict_state"
SLOT, SLOTS = 64, 32
TOTAL = SLOT * SLOTS


class StateDict:
    """Text by text. An item's slot depends on its key alone; a taken one leads to the next."""

    def __init__(self, key):
        self.key = key
        if core.read_state_size(key) == 0:
            core.write_state(key, bytes(TOTAL))

    def _slots(self, name):
        first = sum(name.encode()) % SLOTS
        for number in range(first, first + SLOTS):
            offset = number % SLOTS * SLOT
            item = core.read_state_offset(self.key, TOTAL, offset, SLOT).rstrip(b"\0")
            yield offset, json.loads(item) if item else None
        raise MemoryError("the dictionary is full")

    def __getitem__(self, name):
        for _, item in self._slots(name):
            if item is None:
                raise KeyError(name)
            if item[0] == name:
                return item[1]

    def __setitem__(self, name, value):
        data = json.dumps([name, value]).encode()
        if len(data) > SLOT:
            raise ValueError("an item of {} bytes".format(len(data)))
        for offset, item in self._slots(name):
            if item is None or item[0] == name:
                core.write_state_offset(self.key, TOTAL, offset, data.ljust(SLOT, b"\0"))
                return


def faasm_main():
    kept = StateDict(KEY)
    wanted = {"key {}".format(number): number * number for number in range(20)}
    wanted["zażółć"] = ["text", None, 1.5]
    for name, value in wanted.items():
        kept[name] = value
    kept["key 3"] = wanted["key 3"] = "changed"
    core.push_state(KEY)

    core.pull_state(KEY, TOTAL)
    again = StateDict(KEY)
    for name, value in wanted.items():
        assert again[name] == value, (name, again[name])
    print("{} items: ok".format(len(wanted)))

    try:
        again["missing"]
    except KeyError:
        print("a missing key: ok")
    else:
        raise AssertionError("a key that was never set")

    # Two names whose slots are the same one.
    again["ab"], again["ba"] = 1, 2
    assert (again["ab"], again["ba"]) == (1, 2)
    try:
        for number in range(SLOTS + 1):
            again["more {}".format(number)] = number
    except MemoryError:
        print("a full dictionary: ok")
    else:
        raise AssertionError("more items than slots")
