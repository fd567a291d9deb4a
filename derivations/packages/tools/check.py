"""Checks what a package says about itself; ends with a message if it is not what was asked for.

Usage: check.py sdist FOLDER PROJECT VERSION          the unpacked sources are those of that project and version
       check.py requirements BACKENDS REQUIREMENT...  each is met by what is installed in BACKENDS
       check.py wheel FILE PROJECT VERSION PYTHON     the file name is that of such a wheel, for Python PYTHON, without
                                                      native code or with code for wasm32-wasi

`packaging` must be importable.
"""

import email.parser
import importlib.metadata
import os
import sys

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name, parse_wheel_filename
from packaging.version import Version

PLATFORMS = {"any", "wasi_wasm32"}


def same_project(what, name, version, project, wanted):
    """Whether two names mean one project and two versions are the same, in whatever way they are written."""
    if canonicalize_name(name or "") != canonicalize_name(project) or Version(version or "0") != Version(wanted):
        raise SystemExit(f"{what} says that it is {name} {version}; {project} {wanted} is in the lock")


def sdist(folder, project, wanted):
    path = os.path.join(folder, "PKG-INFO")
    if not os.path.exists(path):
        raise SystemExit(f"{project} {wanted} is no source distribution: it has no PKG-INFO")
    with open(path, encoding="utf-8") as file:
        said = email.parser.HeaderParser().parse(file)
    same_project("the source distribution", said["Name"], said["Version"], project, wanted)


def requirements(backends, *wanted):
    installed = {canonicalize_name(found.metadata["Name"]): found.version for found in importlib.metadata.distributions(path=[backends])}
    for requirement in map(Requirement, wanted):
        if requirement.marker and not requirement.marker.evaluate():
            continue
        version = installed.get(canonicalize_name(requirement.name))
        if version is None:
            declared = ", ".join(sorted(installed)) or "nothing"
            raise SystemExit(
                f"the package needs `{requirement}` to be built, which is not declared (declared: {declared});"
                " add it to `build` of the fragment, and lock its wheel with `kiln lock pypi`"
            )
        if not requirement.specifier.contains(version, prereleases=True):
            raise SystemExit(f"the package needs `{requirement}` to be built; {version} is in the lock")


def wheel(file, project, wanted, python):
    name, version, _, tags = parse_wheel_filename(file)
    same_project(f"the wheel {file}", name, str(version), project, wanted)
    digits = python.replace(".", "")
    interpreters = {"py3", f"py{digits}", f"cp{digits}"}
    fits = any(tag.interpreter in interpreters and tag.platform in PLATFORMS for tag in tags)
    if not fits:
        raise SystemExit(
            f"the wheel {file} is for {', '.join(sorted(map(str, tags)))}; wanted is one for any platform and Python {python}."
            " Lock the source distribution instead"
        )


COMMANDS = {"sdist": sdist, "requirements": requirements, "wheel": wheel}
COMMANDS[sys.argv[1]](*sys.argv[2:])
