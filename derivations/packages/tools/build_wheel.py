"""Makes a wheel of a source distribution, by the build back end that it asks for, and says where the wheel is.

Usage: build_wheel.py SDIST FOLDER PROJECT VERSION [PATCHES]

FOLDER has a folder `backends` with the declared build dependencies, on this program's path, and `tooling` with `packaging`,
which is not, so that no package gets what it did not declare. The sources are unpacked into FOLDER, the wheel is written
beside them; PATCHES are applied to them. Nothing is fetched.
"""

import importlib
import os
import subprocess
import sys
import tarfile
import traceback

try:
    import tomllib
except ModuleNotFoundError:  # before 3.11
    import tomli as tomllib

CHECK = os.path.join(os.path.dirname(os.path.abspath(__file__)), "check.py")

# What PEP 517 says of a package that does not say it.
LEGACY = {"requires": ["setuptools"], "build-backend": "setuptools.build_meta:__legacy__"}


def unpack(archive, folder):
    """Unpacks a source distribution and returns the one directory that it holds."""
    with tarfile.open(archive) as tar:
        for member in tar.getmembers():
            if not (member.isfile() or member.isdir()) or member.name.startswith("/") or ".." in member.name.split("/"):
                raise SystemExit(f"{archive}: a source distribution must not hold `{member.name}`")
        tar.extractall(folder)
    (top,) = os.listdir(folder)
    return os.path.join(folder, top)


def build_system(sources):
    """The table `build-system` of pyproject.toml."""
    system = {}
    if os.path.exists(os.path.join(sources, "pyproject.toml")):
        with open(os.path.join(sources, "pyproject.toml"), "rb") as file:
            system = tomllib.load(file).get("build-system", {})
    return {**LEGACY, **system}


def back_end(sources, system):
    """The object whose `build_wheel` PEP 517 lets us call."""
    sys.path[:0] = [os.path.join(sources, path) for path in system.get("backend-path", [])]
    module, _, attribute = system["build-backend"].partition(":")
    found = importlib.import_module(module)
    for name in attribute.split(".") if attribute else []:
        found = getattr(found, name)
    return found


def check(folder, *arguments):
    """Runs check.py, which says itself what is wrong."""
    command = [sys.executable, "-s", "-B", CHECK, *arguments]
    if subprocess.run(command, env={"PYTHONPATH": os.path.join(folder, "tooling")}).returncode:
        raise SystemExit(1)


def more_requirements(builder):
    """What the back end itself says that it needs beside what pyproject.toml says."""
    return getattr(builder, "get_requires_for_build_wheel", list)()


def hosts_asked_for():
    """The hosts that this process, from now on, looks up or wants a connection to; the set grows as it does."""
    asked = set()

    def audit(event, arguments):
        if event == "socket.getaddrinfo":
            asked.add(str(arguments[0]))
        elif event == "socket.connect" and isinstance(arguments[1], tuple):
            asked.add(str(arguments[1][0]))

    sys.addaudithook(audit)
    return asked


def run_hook(sources, system, hook, result):
    """Writes what `hook` returns to the file `result`. In a child: a setup.py that has run once need not run again."""
    child = os.fork()
    if child:
        if os.waitpid(child, 0)[1]:
            raise SystemExit(1)
        return
    asked = hosts_asked_for()
    try:
        text = hook(back_end(sources, system))
        with open(result, "w", encoding="utf-8") as file:
            file.write(text)
        status = 0
    except ModuleNotFoundError as error:
        traceback.print_exc()
        print(
            f"the build imports `{error.name}`, which no declared build dependency has; if another package has it, add that to"
            " `build` of the fragment, and lock its wheel with `kiln lock pypi`",
            file=sys.stderr,
        )
        status = 1
    except BaseException:
        traceback.print_exc()
        if asked:
            print(
                f"the build asked for {', '.join(sorted(asked))}, but there is no network in the sandbox: give it what it wants to fetch as an"
                " input of the fragment, or tell it by `env` or a patch to do without",
                file=sys.stderr,
            )
        status = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def main():
    sdist, folder, project, version, *patches = sys.argv[1:]
    folder = os.path.abspath(folder)
    sources = unpack(sdist, os.path.join(folder, "sources"))
    check(folder, "sdist", sources, project, version)
    for name in sorted(os.listdir(patches[0])) if patches else []:
        subprocess.run(["patch", "-p1", "-d", sources, "-i", os.path.join(patches[0], name)], check=True)
    system = build_system(sources)
    backends = os.path.join(folder, "backends")
    check(folder, "requirements", backends, *system["requires"])

    wheels = os.path.join(folder, "wheels")
    os.mkdir(wheels)
    os.chdir(sources)
    requires, wheel = os.path.join(folder, "requires"), os.path.join(folder, "wheel")
    run_hook(sources, system, lambda builder: "\n".join(more_requirements(builder)), requires)
    check(folder, "requirements", backends, *read(requires).splitlines())
    run_hook(sources, system, lambda builder: os.path.join(wheels, builder.build_wheel(wheels)), wheel)


main()
