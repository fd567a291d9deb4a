"""Runs CPython's own tests, a module at a time, and says of each test what became of it. tests/regression/run is the program that asks,
and tests/guests.py says what the records are.

The tests may print between the records. A record stands there before the next test starts, so that of a program that traps one knows in which test it did.
"""

import doctest
import importlib
import json
import os
import sys
import traceback
import unittest
import warnings

from test import support

try:
    from test.support import os_helper, socket_helper
except ImportError:  # as it was before 3.10
    os_helper = socket_helper = support

# Modules that upstream skips on WASI, for one test that needs what is not there, or for what this runtime has: an event loop, files like sockets.
DESPITE = {
    "has_subprocess_support": "test_doctest test_pdb test_zipimport_support",
    "has_socket_support":
        "test_asyncgen test_asyncio test_contextlib_async test_httplib test_sys_settrace test_urllib_response test_wsgiref test_xmlrpc",
}

# It asks ctypes for functions of the interpreter while it is imported, but makes do without ctypes.
WITHOUT_CTYPES = ["test_code"]

FLAGS = {flag: getattr(support, flag, None) for flag in DESPITE}

RECORDS = open(1, "wb", closefd=False)

# What a test is that had several outcomes, in its subtests or its teardown, the first of them that occurs here. A test of which only a
# subtest was skipped is also a success.
WORST_FIRST = ["failed", "error", "expected failure", "passed", "skipped"]


def tell(**record):
    sys.stdout.flush()
    RECORDS.write(b"\x1e" + json.dumps(record).encode() + b"\n")
    RECORDS.flush()


def why(error):
    """An exception in a line, and in full."""
    kind, value, _ = error
    lines = str(value).strip().splitlines()
    return {"why": f"{kind.__name__}: {lines[0] if lines else ''}"[:400], "detail": "".join(traceback.format_exception(*error))[-6000:]}


class Result(unittest.TestResult):
    """Tells of each test when it starts and how it ended; also of what is set up for a class or a module, if that goes wrong."""

    started = None

    def __init__(self):
        super().__init__()
        self.outcomes = None

    def startTest(self, test):
        super().startTest(test)
        self.outcomes = []
        Result.started = test.id()
        tell(started=test.id())

    def stopTest(self, test):
        super().stopTest(test)
        outcome, said = min(self.outcomes or [("passed", {})], key=lambda ended: WORST_FIRST.index(ended[0]))
        self.outcomes = Result.started = None
        tell(test=test.id(), outcome=outcome, **said)

    def note(self, test, outcome, **said):
        if self.outcomes is None:
            tell(test=test.id(), outcome=outcome, **said)
        else:
            self.outcomes.append((outcome, said))

    def addSuccess(self, test):
        self.note(test, "passed")

    def addFailure(self, test, error):
        self.note(test, "failed", **why(error))

    def addError(self, test, error):
        self.note(test, "error", **why(error))

    def addSubTest(self, test, subtest, error):
        if error is not None:
            self.note(test, "failed", **why(error))

    def addSkip(self, test, reason):
        self.note(test, "skipped", why=str(reason))

    def addExpectedFailure(self, test, error):
        self.note(test, "expected failure", **why(error))

    def addUnexpectedSuccess(self, test):
        self.note(test, "failed", why="passes, which its author did not expect")


def tests_of(suite):
    for test in suite:
        if isinstance(test, unittest.TestSuite):
            yield from tests_of(test)
        elif test is not None:
            yield test


def without(suite, left_out):
    return unittest.TestSuite(
        without(test, left_out) if isinstance(test, unittest.TestSuite) else test
        for test in suite if isinstance(test, unittest.TestSuite) or test.id() not in left_out
    )


def run_tests(module, left_out):
    """As upstream's regrtest does: by the module's own test_main, if it has one."""

    def run_suite(suite):
        if left_out:
            suite = without(suite, left_out)
        tell(tests=[test.id() for test in tests_of(suite)])
        # In one more suite, as upstream has it: test_tracemalloc expects that something was called from more than ten functions.
        unittest.TestSuite([suite])(Result())

    def run_doctest(module, verbosity=None, optionflags=0):
        suite = doctest.DocTestSuite(module, optionflags=optionflags)
        run_suite(suite)
        # A test_main may print how many examples failed, and check how many there are.
        return 0, sum(len(test._dt_test.examples) for test in tests_of(suite))

    if hasattr(module, "test_main"):
        support._run_suite = run_suite
        for owner in support, module:
            if hasattr(owner, "run_doctest"):
                owner.run_doctest = run_doctest
        module.test_main()
        return
    loader = unittest.TestLoader()
    suite = loader.loadTestsFromModule(module)
    for error in loader.errors:
        print(error, file=sys.stderr)
    run_suite(suite)


def import_module(name):
    for flag, names in DESPITE.items():
        if hasattr(support, flag):
            setattr(support, flag, name in names.split() or FLAGS[flag])
    if name in WITHOUT_CTYPES:
        sys.modules["ctypes"] = None
    elif sys.modules.get("ctypes", True) is None:
        del sys.modules["ctypes"]
    return importlib.import_module(f"test.{name}")


def unlink(path):
    """Tests clean up wherever modules are looked for. Where nothing can be written to, the host says so even of a file that is not there."""
    if not os.path.lexists(path):
        raise FileNotFoundError(path)
    os.unlink(path)


def prepare():
    # Tests write where they are. None of the resources that upstream's regrtest hands out only if it is asked to: time, network, disk.
    os.chdir("/tmp")
    # There is a host's name, unlike on WASI as upstream knows it.
    support.use_resources = []
    socket_helper.has_gethostname = True
    os_helper._unlink = unlink
    support.verbose = 0
    warnings.simplefilter("default")


def run(given):
    """The input: the module's name, and a line for each test that is to be left out."""
    name, *left_out = given.decode().splitlines()
    prepare()
    try:
        run_tests(import_module(name), set(left_out))
    except unittest.SkipTest as error:
        tell(test=name, outcome="skipped", why=str(error))
    except BaseException:
        # What goes through all of unittest ends this program, and so the test that it came from.
        if Result.started:
            raise
        tell(test=name, outcome="error", **why(sys.exc_info()))
    tell(ended=name)


def names():
    found = {name.partition(".")[0] for name in os.listdir(os.path.dirname(support.__path__[0])) if name.endswith(".py") or "." not in name}
    return sorted(name for name in found if name.startswith("test_"))


def modules(given):
    """Tries to import each module. The input: a line for each that is to be left out."""
    left_out = set(given.decode().splitlines())
    prepare()
    for name in names():
        if name in left_out:
            continue
        tell(started=name)
        try:
            import_module(name)
        except BaseException:
            tell(test=name, outcome="not imported", **why(sys.exc_info()))
        else:
            tell(test=name, outcome="imported")
    tell(ended="modules")
