"""Checks what a function is started with: environment, arguments, paths, standard streams."""

import os
import sys

WANTED = {
    "PYTHONHOME": "/",
    "PYTHONHASHSEED": "0",
    "PYTHONNOUSERSITE": "on",
    "PYTHONWASM": "1",
}


def environment():
    for name, value in WANTED.items():
        assert os.environ.get(name) == value, "{} is {!r}".format(name, os.environ.get(name))
    # Nothing of whoever runs the function.
    others = set(os.environ) - set(WANTED) - {"PYFAASM_STATE"}
    assert not others, others


def environment_can_be_changed():
    os.environ["ENV_CHECK"] = "zażółć"
    assert os.getenv("ENV_CHECK") == "zażółć"
    del os.environ["ENV_CHECK"]
    assert "ENV_CHECK" not in os.environ


def interpreter():
    assert sys.platform == "wasi", sys.platform
    assert sys.prefix == sys.exec_prefix == "/", (sys.prefix, sys.exec_prefix)
    assert sys.flags.no_user_site == 1
    assert sys.flags.hash_randomization == 0
    assert sys.byteorder == "little" and sys.maxsize == 2**31 - 1
    assert sys.getfilesystemencoding() == "utf-8"


def arguments_and_path():
    assert sys.argv == ["function.wasm"], sys.argv
    assert sys.path[0] == os.path.dirname(__file__), sys.path
    assert __name__ == "function", __name__
    assert "/lib/python{}.{}".format(*sys.version_info) in sys.path, sys.path


def streams():
    assert [stream.fileno() for stream in (sys.stdin, sys.stdout, sys.stderr)] == [0, 1, 2]
    assert sys.stdout.encoding.lower() == "utf-8", sys.stdout.encoding


CHECKS = [environment, environment_can_be_changed, interpreter, arguments_and_path, streams]


def faasm_main():
    for check in CHECKS:
        check()
        print("{}: ok".format(check.__name__))
