"""The C part of msgpack packs the bytes that the Python part packs, and reads them back."""

import datetime

import msgpack
from msgpack import _cmsgpack, fallback

VALUES = [None, True, 0, -1, 127, 2**32, -(2**63), 2**64 - 1, 1.5, "zażółć", b"\0\xff" * 300, [1, [2, []]], {"a": {"b": [None]}}, "x" * 70000]


def faasm_main():
    assert msgpack.Packer is _cmsgpack.Packer, "the C part is not in use"
    assert _cmsgpack.__name__ == "msgpack._cmsgpack", _cmsgpack.__name__
    in_c, in_python = _cmsgpack.Packer(), fallback.Packer()
    for value in VALUES:
        packed = in_c.pack(value)
        assert packed == in_python.pack(value), value
        assert _cmsgpack.unpackb(packed) == fallback.unpackb(packed) == value
    stream = _cmsgpack.Unpacker()
    stream.feed(b"".join(map(msgpack.packb, VALUES)))
    assert list(stream) == VALUES
    moment = datetime.datetime(2020, 2, 29, 12, 0, 1, 500000, tzinfo=datetime.timezone.utc)
    assert msgpack.unpackb(msgpack.packb(moment, datetime=True), timestamp=3) == moment
    try:
        msgpack.unpackb(b"\x81\xa1")
    except ValueError:
        print("msgpack: ok")
