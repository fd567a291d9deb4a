"""Lays a wheel out as it lies in site-packages.

Usage: install_wheel.py WHEEL SITE_PACKAGES

Scripts, headers and data files are not installed: a fragment is what `import` finds. The record of the installed files is
written anew, sorted, for the one in the wheel need not be.
"""

import base64
import csv
import hashlib
import os
import sys
import zipfile


def placed(name):
    """Where a wheel's member goes in site-packages, or None if it does not go there."""
    parts = name.split("/")
    if name.startswith("/") or ".." in parts:
        raise SystemExit(f"a wheel must not hold `{name}`")
    if parts[0].endswith(".data"):
        return "/".join(parts[2:]) if parts[1] in ("purelib", "platlib") else None
    return name


def main():
    wheel, site_packages = sys.argv[1:]
    records = []
    with zipfile.ZipFile(wheel) as archive:
        names = sorted(name for name in archive.namelist() if not name.endswith("/"))
        (info,) = {name.split("/")[0] for name in names if name.split("/")[0].endswith(".dist-info")}
        contents = {placed(name): archive.read(name) for name in names if placed(name)}
    contents.pop(f"{info}/RECORD", None)
    contents[f"{info}/INSTALLER"] = b"kiln\n"
    for path, content in sorted(contents.items()):
        target = os.path.join(site_packages, path)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        with open(target, "xb") as file:
            file.write(content)
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
        records.append((path, f"sha256={digest}", len(content)))
    records.append((f"{info}/RECORD", "", ""))
    with open(os.path.join(site_packages, info, "RECORD"), "w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(sorted(records))


main()
