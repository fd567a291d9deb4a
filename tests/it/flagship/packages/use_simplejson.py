"""The C parts of simplejson encode and decode as the Python parts do."""

import decimal

import simplejson
from simplejson import _speedups, decoder, encoder, scanner

VALUE = {"a": [1, -2.5, None, True, "zażółć \"\\\n\u2028"], "": {"deep": [[[]]]}, "n": 10**30, "d": decimal.Decimal("1.10")}


def faasm_main():
    assert encoder.c_make_encoder is _speedups.make_encoder and scanner.c_make_scanner is _speedups.make_scanner
    assert _speedups.__name__ == "simplejson._speedups", _speedups.__name__
    text = simplejson.dumps(VALUE, sort_keys=True)
    c_make_encoder, encoder.c_make_encoder = encoder.c_make_encoder, None
    in_python = simplejson.JSONEncoder(sort_keys=True, use_decimal=True).encode(VALUE)
    encoder.c_make_encoder = c_make_encoder
    assert text == in_python, f"{text} is not {in_python}"
    assert simplejson.loads(text, use_decimal=True)["d"] == decimal.Decimal("1.10")
    assert decoder.scanstring('zażółć \\u2028"', 0) == decoder.py_scanstring('zażółć \\u2028"', 0)
    for wrong in ['{"a": }', "[1,", '"\x01"', "nul"]:
        try:
            simplejson.loads(wrong)
        except simplejson.JSONDecodeError:
            continue
        raise AssertionError(f"{wrong!r} was accepted")
    print("simplejson: ok")
