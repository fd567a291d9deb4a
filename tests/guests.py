"""Runs others' tests under WebAssembly, and compares what fails with what is expected to: for tests/regression/run and tests/packages/run.

A guest is a function that `kiln run` runs. It says of each test how it ended, in records: a line each on its standard output, the character RS
and then JSON. What else it prints is passed over.

    {"started": NAME}                                  before a test starts
    {"test": NAME, "outcome": OUTCOME, "why": TEXT}    when it has ended
    {"tests": [NAME, …]}                               which tests there are, if the guest knows
    {"ended": …}                                       at the end

If a test traps, or takes too long, the guest is started again without it and without those before it.
"""

import argparse
import collections
import concurrent.futures
import json
import os
import pathlib
import re
import select
import shutil
import subprocess
import sys
import tempfile
import time
from typing import Callable, List, NamedTuple

PROJECT = pathlib.Path(__file__).resolve().parents[1]
RUNNER = "runner"

# run-function's exit status for a trap.
TRAPPED = 126

FAILURES = ("failed", "error", "trapped", "timed out")
OUTCOMES = ("passed", *FAILURES, "skipped", "expected failure", "xfailed", "xpassed", "not run")

# How often a guest is started again because a test of it trapped or took too long.
STARTS = 40

# What took longer is named at the end, in seconds.
LONG = 120


class Unit(NamedTuple):
    """Tests that run in an instance of their own.

    name     as the list of expected failures has it, before a blank or `::`
    runtime  the target that has the tests
    command  the function, and options of `kiln run`
    input    what the function gets, if these tests are to be left out
    tidy     a test's name as it is shown, from what the guest calls it
    rows     the rows of the table in which the tests count
    """

    name: str
    runtime: str
    command: List[str]
    input: Callable[[List[str]], str]
    tidy: Callable[[str], str]
    rows: List[str]


def positive(text):
    """A number of an option that must be at least 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a number from 1 on, and not {text}")
    return int(text)


def parser(program, description):
    """The options that both programs have."""
    made = argparse.ArgumentParser(prog=program, description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--python", default="3.11", metavar="LANE", help="the Python version (default: %(default)s)")
    made.add_argument("--at-once", type=positive, default=2, metavar="N", help="files of tests that run at once (default: %(default)s)")
    made.add_argument("--limit", type=float, default=300, metavar="SECONDS", help="what one test may take (default: %(default)g)")
    made.add_argument("--file-limit", type=float, default=1800, metavar="SECONDS", help="what one file of tests may take (default: %(default)g)")
    made.add_argument("--json", type=pathlib.Path, metavar="FILE", help="write everything that is known about every test to this file")
    made.add_argument("--logs", type=pathlib.Path, metavar="FOLDER", help="keep what the tests print to standard error")
    made.add_argument("--update", action="store_true", help="write down what fails as what is expected to")
    made.add_argument("--kiln", metavar="PATH", help="the program (default: the one in target/release, else the one on the PATH)")
    made.add_argument("--store", metavar="DIR", help="the store (default: what kiln takes)")
    return made


class Kiln:
    """kiln, in this project and a lane of it."""

    def __init__(self, given):
        built = PROJECT / "target/release/kiln"
        self.command = [given.kiln or (str(built) if built.exists() else "kiln"), "--project", str(PROJECT)]
        if given.store:
            self.command += ["--store", given.store]
        if not shutil.which(self.command[0]):
            sys.exit(f"there is no program {self.command[0]}: make it with `cargo build --release`, or name another with --kiln")
        self.lane = ["--param", f"python={given.python}"]

    def build(self, targets):
        """Where each target lies."""
        ended = subprocess.run([*self.command, "build", *targets, RUNNER, "--json", *self.lane], stdout=subprocess.PIPE)
        if ended.returncode != 0:
            sys.exit(f"cannot run the tests: `kiln build {' '.join(targets)} {RUNNER}` failed")
        return {built["target"]: pathlib.Path(built["physical"]) for built in json.loads(ended.stdout)["targets"]}

    def start(self, unit, left_out, errors):
        with tempfile.TemporaryFile() as given:
            given.write(unit.input(left_out).encode())
            given.seek(0)
            run = ["run", *unit.command, "--runtime", unit.runtime, "--runner", RUNNER, *self.lane]
            return subprocess.Popen([*self.command, *run], stdin=given, stdout=subprocess.PIPE, stderr=errors)


def records(process, limit, until):
    """What a guest tells, as it tells it. A record of our own, `{"stopped": …}`, is the last one if it did not get to its end."""
    rest, ended, deadline = b"", False, time.monotonic() + limit
    while True:
        wait = min(deadline, until) - time.monotonic()
        if wait <= 0 or not select.select([process.stdout], [], [], wait)[0]:
            # The sandbox ends with it.
            process.kill()
            process.wait()
            yield {"stopped": "timed out"}
            return
        piece = os.read(process.stdout.fileno(), 1 << 16)
        *lines, rest = (rest + piece).split(b"\n")
        for line in lines:
            _, mark, record = line.rpartition(b"\x1e")
            if mark:
                deadline = time.monotonic() + limit
                told = json.loads(record)
                ended = ended or "ended" in told
                yield told
        if not piece:
            break
    status = process.wait()
    if status != 0 or not ended:
        yield {"stopped": "trapped" if status == TRAPPED else "error"}


def last_words(errors):
    """Why a guest ended, from its standard error: run-function's own message, or else the last line."""
    errors.seek(0)
    lines = errors.read().decode(errors="replace").split("\n")
    said = [number for number, line in enumerate(lines) if line.startswith("run-function: ")]
    if said:
        words = [line for line in lines[said[-1]:] if line and not re.match(r"\s*\d+: ", line)]
        return " ".join(" ".join(words).split())[:400]
    return next((line for line in reversed(lines) if line), "it said nothing")[:400]


def run_to_the_end(kiln, unit, given):
    """What became of each test of a unit, under the names that the guest has for them, and all names that it told."""
    done, there, until = [], set(), time.monotonic() + given.file_limit
    for _ in range(STARTS):
        before, current, stopped = {record["test"] for record in done}, None, None
        with tempfile.TemporaryFile() as errors:
            process = kiln.start(unit, sorted(before), errors)
            for record in records(process, given.limit, until):
                if "started" in record:
                    current = record["started"]
                elif "tests" in record:
                    there.update(record["tests"])
                elif "test" in record:
                    # A module may have several of one name, but what could not be left out is not another one.
                    if record["test"] not in before:
                        done.append(record)
                    current = None
                elif "stopped" in record:
                    stopped = record["stopped"]
            why = "it took too long" if stopped == "timed out" else last_words(errors)
            keep_log(errors, unit, given)
        if not stopped:
            return done, there
        done.append({"test": current or "(between tests)", "outcome": stopped, "why": why})
        # Where no test is to blame, another start would end there again.
        if not current or time.monotonic() > until:
            return done, there
    done.append({"test": "(all)", "outcome": "error", "why": f"given up after {STARTS} starts"})
    return done, there


def keep_log(errors, unit, given):
    if given.logs:
        given.logs.mkdir(parents=True, exist_ok=True)
        errors.seek(0)
        with open(given.logs / f"{unit.name.replace('/', '-')}.log", "ab") as log:
            log.write(errors.read())


def run_unit(kiln, unit, given):
    """What became of each test of a unit, as it is shown."""
    began = time.monotonic()
    done, there = run_to_the_end(kiln, unit, given)
    # What is set up for a class or a module was skipped or failed, and these with it.
    lost = [{"test": test, "outcome": "not run"} for test in sorted(there - {record["test"] for record in done})]
    results = [dict(record, test=unit.tidy(record["test"]), unit=unit.name) for record in [*done, *lost]]
    return results, time.monotonic() - began


class Expected:
    """The tests that are expected to fail: a line each, below a line `[why]`. A `*` stands for any characters; a `#` begins a comment."""

    def __init__(self, path):
        self.path, self.lines = path, []
        why = None
        for number, line in enumerate(path.read_text("utf-8").splitlines() if path.exists() else [], 1):
            if line.startswith("[") and line.endswith("]"):
                why = line[1:-1]
            elif line and not line.startswith("#"):
                if not why:
                    sys.exit(f"{path}:{number}: expected a line `[why]` before the first test")
                pattern = re.compile(".*".join(map(re.escape, line.split("*"))))
                unit = re.split(" |::", line)[0]
                self.lines.append({"line": line, "why": why, "unit": unit, "pattern": pattern, "failed": 0, "passed": []})

    def look_at(self, results):
        """Takes note of what became of the tests; returns those that failed unexpectedly."""
        mine, new = collections.defaultdict(list), []
        for line in self.lines:
            mine[line["unit"]].append(line)
        for record in results:
            matching = [line for line in mine[record["unit"]] if line["pattern"].fullmatch(record["test"])]
            if record["outcome"] in FAILURES:
                if matching:
                    matching[0]["failed"] += 1
                    record["expected"] = matching[0]["why"]
                else:
                    new.append(record)
            elif record["outcome"] not in ("skipped", "not run"):
                for line in matching:
                    line["passed"].append(record["test"])
        return new

    def gone(self, units):
        """The lines about units that ran of which a test did not fail, or none did."""
        return [line for line in self.lines if line["unit"] in units and (line["passed"] or not line["failed"])]

    def problems(self, results):
        """Whatever is not as expected, a sentence each."""
        new, gone = self.look_at(results), self.gone({record["unit"] for record in results})
        said = [f"FAILED: {record['test']}: {record['outcome']}: {record.get('why', '')}" for record in new]
        for line in gone:
            for test in line["passed"] or [line["line"]]:
                said.append(f"DID NOT FAIL: {test}, which is expected to: {line['why']}")
        return said

    def update(self, results):
        """Writes the list anew: with what failed, and without what did not."""
        new, gone = self.look_at(results), {line["line"] for line in self.gone({record["unit"] for record in results})}
        text = self.path.read_text("utf-8") if self.path.exists() else ""
        lines = [line for line in text.splitlines() if line not in gone]
        for record in new:
            lines += ["", f"[not explained: {record['outcome']}: {record.get('why', '')}]", record["test"]]
        # A reason that nothing fails for any more.
        kept = re.sub(r"^\[.*\]\n+(?=\[|\Z)", "", "\n".join(lines).strip("\n") + "\n", flags=re.M)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text(kept, "utf-8")

    def groups(self):
        """How many tests failed for each reason."""
        counts = collections.Counter()
        for line in self.lines:
            counts[line["why"]] += line["failed"]
        return {why: count for why, count in counts.items() if count}


def run_all(kiln, units, given):
    """Runs the units, and prints a line about each as it ends. Returns the results in the units' order, and each unit's seconds."""
    results, seconds = {}, {}
    with concurrent.futures.ThreadPoolExecutor(given.at_once) as pool:
        started = {pool.submit(run_unit, kiln, unit, given): unit for unit in units}
        for number, future in enumerate(concurrent.futures.as_completed(started), 1):
            name = started[future].name
            results[name], seconds[name] = future.result()
            failed = sum(record["outcome"] in FAILURES for record in results[name])
            print(f"[{number}/{len(units)}] {name}: {len(results[name])} tests, {failed} failed, {seconds[name]:.1f} s", flush=True)
            if given.json:  # also for who looks on, or has to stop
                given.json.write_text(json.dumps({"tests": sum(results.values(), [])}, indent=1), "utf-8")
    return [record for unit in units for record in results[unit.name]], seconds


def count(results, units, seconds):
    """How many tests of each row of the table ended how; the last row is all of them."""
    rows = {unit.name: [*unit.rows, "all"] for unit in units}
    counts = collections.defaultdict(collections.Counter)
    for record in results:
        for row in rows[record["unit"]]:
            counts[row][record["outcome"]] += 1
            counts[row]["tests"] += 1
    for unit in units:
        for row in rows[unit.name]:
            counts[row]["seconds"] += round(seconds[unit.name], 1)
    return {row: counts[row] for row in sorted(counts, key=lambda row: (row == "all", row))}


def print_table(counts):
    columns = [name for name in ("tests", *OUTCOMES) if any(row[name] for row in counts.values())]
    first = max(map(len, counts), default=0)
    widths = {name: max(8, len(name) + 2) for name in [*columns, "seconds"]}
    print(f"\n{'':{first}}" + "".join(f"{name:>{widths[name]}}" for name in widths))
    for name, row in counts.items():
        cells = "".join(f"{row[column] or '':>{widths[column]}}" for column in columns)
        print(f"{name:{first}}{cells}{row['seconds']:>{widths['seconds']}.1f}")


def run_and_report(kiln, units, expected, given):
    """Runs units, prints how their tests ended, and returns the exit status. `expected` has for each list the units that it is about."""
    results, seconds = run_all(kiln, units, given)
    counts = count(results, units, seconds)
    print_table(counts)
    problems = []
    for path, names in expected.items():
        about, known = [record for record in results if record["unit"] in names], Expected(path)
        if given.update:
            known.update(about)
            continue
        problems += known.problems(about)
        for why, failed in known.groups().items():
            print(f"{failed:>6} failed as expected: {why}")
    for name in (name for name in seconds if seconds[name] > LONG):
        print(f"{name} took {seconds[name]:.0f} s")
    print(f"\nnot as expected: {len(problems)}")
    print("".join(f"{problem}\n" for problem in problems), end="")
    if given.json:
        given.json.write_text(json.dumps({"counts": counts, "problems": problems, "tests": results}, indent=1), "utf-8")
    if not results:
        print("no test ran")
    return 1 if problems or not results else 0
