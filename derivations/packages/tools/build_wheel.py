"""Makes a wheel of a source distribution, by the build back end that it asks for, and says where the wheel is.

Usage: build_wheel.py SDIST FOLDER

FOLDER is empty; the sources are unpacked into it, and the wheel is written beside them. The back end must be importable:
nothing is fetched, and no environment is made for it.
"""

import importlib
import os
import sys
import tarfile
import tomllib


def unpack(archive, folder):
    """Unpacks a source distribution and returns the one directory that it holds."""
    with tarfile.open(archive) as tar:
        for member in tar.getmembers():
            if not (member.isfile() or member.isdir()) or member.name.startswith("/") or ".." in member.name.split("/"):
                raise SystemExit(f"{archive}: a source distribution must not hold `{member.name}`")
        tar.extractall(folder)
    (top,) = os.listdir(folder)
    return os.path.join(folder, top)


def back_end(sources):
    """The object whose `build_wheel` PEP 517 lets us call."""
    system = {}
    if os.path.exists(os.path.join(sources, "pyproject.toml")):
        with open(os.path.join(sources, "pyproject.toml"), "rb") as file:
            system = tomllib.load(file).get("build-system", {})
    sys.path[:0] = [os.path.join(sources, path) for path in system.get("backend-path", [])]
    module, _, attribute = system.get("build-backend", "setuptools.build_meta:__legacy__").partition(":")
    found = importlib.import_module(module)
    for name in attribute.split(".") if attribute else []:
        found = getattr(found, name)
    return found


def main():
    sdist, folder = (os.path.abspath(path) for path in sys.argv[1:])
    sources = unpack(sdist, os.path.join(folder, "sources"))
    wheels = os.path.join(folder, "wheels")
    os.mkdir(wheels)
    os.chdir(sources)
    name = back_end(sources).build_wheel(wheels)
    with open(os.path.join(folder, "wheel"), "w", encoding="utf-8") as file:
        file.write(os.path.join(wheels, name))


main()
