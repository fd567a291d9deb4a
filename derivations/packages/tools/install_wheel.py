"""Lays a wheel out as it lies in site-packages.

Usage: install_wheel.py WHEEL SITE_PACKAGES [MODULES]

Scripts, headers and data files are not installed: a fragment is what `import` finds. Native modules are no part of it: they
go to the folder MODULES, each under its full name; without MODULES they are refused. The record of the installed files is
written anew, sorted, for the one in the wheel need not be.
"""

import base64
import csv
import hashlib
import os
import sys
import zipfile

NATIVE = (".so", ".pyd", ".dylib", ".dll")


def placed(name):
    """Where a wheel's member goes in site-packages, or None if it does not go there."""
    parts = name.split("/")
    if name.startswith("/") or ".." in parts:
        raise SystemExit(f"a wheel must not hold `{name}`")
    if parts[0].endswith(".data"):
        return "/".join(parts[2:]) if parts[1] in ("purelib", "platlib") else None
    return name


def write(folder, path, content):
    target = os.path.join(folder, path)
    os.makedirs(os.path.dirname(target), exist_ok=True)
    with open(target, "xb") as file:
        file.write(content)


def module_name(path):
    """`package._module` for `package/_module.cpython-311-wasm32-wasi.so`."""
    folder, _, name = path.rpartition("/")
    return ".".join([*folder.split("/"), name.split(".")[0]] if folder else [name.split(".")[0]])


def main():
    wheel, site_packages, *modules = sys.argv[1:]
    records = []
    with zipfile.ZipFile(wheel) as archive:
        names = sorted(name for name in archive.namelist() if not name.endswith("/"))
        (info,) = {name.split("/")[0] for name in names if name.split("/")[0].endswith(".dist-info")}
        contents = {placed(name): archive.read(name) for name in names if placed(name)}
    contents.pop(f"{info}/RECORD", None)
    contents[f"{info}/INSTALLER"] = b"kiln\n"
    for path in [path for path in contents if path.endswith(NATIVE)]:
        if not modules:
            raise SystemExit(f"the wheel holds a native module that is not declared: {module_name(path)} ({path})")
        write(modules[0], module_name(path), contents.pop(path))
    for path, content in sorted(contents.items()):
        write(site_packages, path, content)
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
        records.append((path, f"sha256={digest}", len(content)))
    records.append((f"{info}/RECORD", "", ""))
    with open(os.path.join(site_packages, info, "RECORD"), "w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(sorted(records))


main()
