"""Runs a file of tests with pytest, and says of each test how it ended, as it ends.

The input is a JSON object:

    path     the file
    root     the folder that the tests' names begin at
    skip     names of tests not to run
    options  further arguments of pytest
    absent   modules that the runtime does not have, but that the file wants to import: empty ones stand in for them

Standard output has records: a line each, the character RS and then JSON. {"started": NAME} stands there before a test starts, {"test": NAME,
"outcome": OUTCOME, "why": TEXT, "seconds": N} when it has ended, {"ended": STATUS} at the end. So whoever reads it knows what was tested if the
guest traps, and in which test it did. What tests print goes to standard error.
"""

import json
import os
import sys
import types

import pytest
from pyfaasm.core import get_input


def tell(**record):
    os.write(1, b"\x1e" + json.dumps(record).encode() + b"\n")


class Reporter:
    """A plugin of pytest's."""

    def __init__(self, skip):
        self.skip, self.reports = set(skip), []

    def pytest_collection_modifyitems(self, config, items):
        left_out = [item for item in items if item.nodeid in self.skip]
        items[:] = [item for item in items if item.nodeid not in self.skip]
        config.hook.pytest_deselected(items=left_out)

    def pytest_collectreport(self, report):
        if report.outcome != "passed" and report.nodeid not in self.skip:
            tell(test=report.nodeid, outcome="error" if report.failed else "skipped", why=reason(report), seconds=0)

    def pytest_runtest_logstart(self, nodeid):
        self.reports = []
        tell(started=nodeid)

    def pytest_runtest_logreport(self, report):
        self.reports.append(report)

    def pytest_runtest_logfinish(self, nodeid):
        outcome, why = ended(self.reports)
        tell(test=nodeid, outcome=outcome, why=why, seconds=round(sum(report.duration for report in self.reports), 2))


def ended(reports):
    """How a test ended, of the reports about its setting up, itself and its clearing up; and why."""
    for report in reports:
        if report.failed:
            return ("failed" if report.when == "call" else "error"), reason(report)
    for report in reports:
        if hasattr(report, "wasxfail"):
            return ("xfailed" if report.skipped else "xpassed"), report.wasxfail
        if report.skipped:
            return "skipped", reason(report)
    return "passed", ""


def reason(report):
    """The line that says why a test failed or was skipped."""
    if isinstance(report.longrepr, tuple):
        return report.longrepr[2]
    crash = getattr(report.longrepr, "reprcrash", None)
    text = (crash.message if crash else report.longreprtext).strip()
    return (text.splitlines() or [""])[0 if crash else -1].removeprefix("E ").strip()[:300]


def faasm_main():
    given = json.loads(get_input())
    sys.stdout = sys.stderr
    # Where nothing can be written pytest would fail, for WASI's error number is not the one that it knows.
    sys.dont_write_bytecode = True
    sys.modules.update({name: types.ModuleType(name) for name in given["absent"]})
    os.chdir("/tmp")
    # Not faulthandler: it wants signals. Not capturing by descriptor: it wants os.dup. No cache: nothing is kept. A log: there is no /dev/null.
    options = ["-p", "no:faulthandler", "-p", "no:cacheprovider", "--capture=sys", "--log-file=/tmp/log", "-q", "--tb=short", "--color=no"]
    # A folder of its own for tests' files: of the usual one pytest asks whose it is, and WASI's files have no owner.
    options += ["--basetemp=/tmp/tests", "--rootdir", given["root"], "--confcutdir", given["root"], *given["options"]]
    status = pytest.main([*options, given["path"]], plugins=[Reporter(given["skip"])])
    if status in (pytest.ExitCode.INTERNAL_ERROR, pytest.ExitCode.USAGE_ERROR):
        tell(test=os.path.relpath(given["path"], given["root"]), outcome="error", why=f"{status!r}: pytest says why", seconds=0)
    tell(ended=int(status))
    # Nothing of Python's own end is waited for: with hypothesis's callback of the garbage collector it does not come.
    os._exit(0)
