"""The modules that are in the program are as they are elsewhere."""

import encodings
import encodings.aliases
import encodings.utf_8
import traceback


def faasm_main():
    for module in (encodings, encodings.aliases, encodings.utf_8):
        assert module.__spec__.origin == "frozen", module.__spec__
        with open(module.__file__, encoding="utf-8") as file:
            assert file.read()
        print(f"{module.__name__}: ok")
    assert encodings.__path__ == ["/lib/python3.11/encodings"], encodings.__path__
    assert ("ä".encode("latin-1"), "ä.example".encode("idna")) == (b"\xe4", b"xn--4ca.example")
    print("other encodings: ok")
    try:
        encodings.search_function(1)
    except TypeError:
        assert "for c in encoding" in traceback.format_exc()
        print("lines: ok")
