"""Runs one of pyperformance's benchmarks in this process, as a function of the runtime or as a native program.

In, as JSON: `script` and its `arguments`; how many `loops` a measurement takes (0: as many as take `seconds`, which are found out), and how many
`values` are wanted. Out, as JSON: `loops`, and the seconds that each took by one loop. A script with several benchmarks runs the first.

pyperf itself takes a process for each few measurements. What stands in for it here calls the same functions with the same loops.
"""

import argparse
import json
import os
import runpy
import sys
import types
from time import perf_counter


class Runner:
    """What the benchmarks use of pyperf.Runner."""

    def __init__(self, *_, **__):
        self.argparser = argparse.ArgumentParser()
        self.metadata = {}

    def parse_args(self):
        return self.argparser.parse_args()

    def bench_func(self, name, function, *arguments, inner_loops=None):
        def timed(loops, *arguments):
            start = perf_counter()
            for _ in range(loops):
                function(*arguments)
            return perf_counter() - start

        self.bench_time_func(name, timed, *arguments)

    def bench_time_func(self, name, function, *arguments, inner_loops=None):
        if result:
            return
        loops = given["loops"] or calibrated(function, arguments)
        function(1, *arguments)
        result.update(loops=loops, values=[function(loops, *arguments) / loops for _ in range(given["values"])])


def calibrated(function, arguments):
    """The first power of two that takes long enough."""
    loops = 1
    while function(loops, *arguments) < given["seconds"]:
        loops *= 2
    return loops


def run(text):
    global given, result
    given, result = json.loads(text), {}
    stand_in = types.ModuleType("pyperf")
    stand_in.Runner, stand_in.perf_counter, stand_in.python_implementation = Runner, perf_counter, lambda: "cpython"
    sys.modules["pyperf"] = stand_in
    import pyperformance

    script = os.path.join(os.path.dirname(pyperformance.__file__), "data-files", "benchmarks", given["script"], "run_benchmark.py")
    sys.path.insert(0, os.path.dirname(script))
    sys.argv = [script, *given["arguments"]]
    said, sys.stdout = sys.stdout, sys.stderr
    runpy.run_path(script, run_name="__main__")
    sys.stdout = said
    print(json.dumps(result))


if __name__ == "__main__":
    run(sys.stdin.buffer.read())
