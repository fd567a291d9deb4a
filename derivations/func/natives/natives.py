"""What func needs to link the native modules of packages.

Usage: natives.py LIBPYTHON TABLE ARCHIVES FRAGMENT...

Reads modules.json below lib/native of each FRAGMENT. Writes TABLE, the C file of NATIVE(number, name, symbol) lines that
natives.c includes, and ARCHIVES, what the linker is to be given. It is an error if two fragments define the same module, or a
fragment one that CPython has built in, or if an archive does not define the init function that is said to be in it.
"""

import json
import subprocess
import sys
from pathlib import Path


def fragments(folders):
    """(folder, what its modules.json says) of every package."""
    for folder in map(Path, folders):
        found = sorted(folder.glob("lib/native/*/modules.json"))
        if not found:
            raise SystemExit(f"{folder} has no native modules: there is no lib/native/PACKAGE/modules.json in it")
        for path in found:
            yield path.parent, json.loads(path.read_text("utf-8"))


def built_in(libpython):
    """Modules that CPython itself has, with whom they come from."""
    report = json.loads((Path(libpython) / "modules.json").read_text("utf-8"))
    return {name: "CPython" for name, module in report["modules"].items() if module["state"] == "built"}


def defined(archive):
    """The symbols that an archive defines for others."""
    command = ["llvm-nm-14", "--defined-only", "--extern-only", "--format=just-symbols", str(archive)]
    return subprocess.run(command, stdout=subprocess.PIPE, check=True, encoding="utf-8").stdout.split()


def main():
    libpython, table, linked, *folders = sys.argv[1:]
    owners = built_in(libpython)
    lines, archives, libraries = [], [], []
    for folder, said in fragments(folders):
        package = said["package"]
        for name, module in sorted(said["modules"].items()):
            if name in owners:
                raise SystemExit(f"the native module {name} is defined by both {owners[name]} and {package}")
            owners[name] = package
            archive = folder / module["archive"]
            if module["init"] not in defined(archive):
                raise SystemExit(
                    f"{package} says that {module['init']} starts its native module {name},"
                    f" but {module['archive']} does not define that"
                )
            lines.append(f'NATIVE({len(lines)}, "{name}", "{module["init"]}")\n')
            archives.append(str(archive))
        libraries += [f"-l{library}" for library in said["libraries"] if f"-l{library}" not in libraries]
    Path(table).write_text("".join(lines), "utf-8")
    Path(linked).write_text("".join(f"{item}\n" for item in archives + libraries), "utf-8")
    print(f"{len(lines)} native modules")


main()
