"""A subset of pyperformance's benchmarks, on native Python and on func.wasm in turn (A B A B ...), with the same loops; a table of ratios.

Usage: pyperformance.py RUNTIME [--wasm [NAME=]FILE ...] [--only BENCHMARK ...] [--rounds N] [--values N] [--seconds S]

Both take the benchmarks, what these import, and byte code from the runtime or from their own standard library, compiled in the same way. Only
what a benchmark times is counted, neither starting nor compiling. Each further --wasm is another func.wasm to compare, over the same runtime.
"""

import argparse
import json
import math
import os
import statistics
import sys

from guests import FUNCTION, HERE, Guest, low_and_middle, machine, named, native

# Those that need neither processes nor threads, and no module that one of the two has not: script, and arguments.
BENCHMARKS = {
    "chaos": ["bm_chaos"],
    "comprehensions": ["bm_comprehensions"],
    "crypto_pyaes": ["bm_crypto_pyaes"],
    "deepcopy": ["bm_deepcopy"],
    "deltablue": ["bm_deltablue"],
    "fannkuch": ["bm_fannkuch"],
    "float": ["bm_float"],
    "generators": ["bm_generators"],
    "go": ["bm_go"],
    "hexiom": ["bm_hexiom"],
    "json_dumps": ["bm_json_dumps"],
    "json_loads": ["bm_json_loads"],
    "logging_format": ["bm_logging", "format"],
    "nbody": ["bm_nbody"],
    "nqueens": ["bm_nqueens"],
    "pickle": ["bm_pickle", "pickle"],
    "pickle_pure_python": ["bm_pickle", "--pure-python", "pickle"],
    "pidigits": ["bm_pidigits"],
    "pyflate": ["bm_pyflate"],
    "raytrace": ["bm_raytrace"],
    "regex_compile": ["bm_regex_compile"],
    "regex_dna": ["bm_regex_dna"],
    "regex_effbot": ["bm_regex_effbot"],
    "regex_v8": ["bm_regex_v8"],
    "richards": ["bm_richards"],
    "scimark_fft": ["bm_scimark", "fft"],
    "spectral_norm": ["bm_spectral_norm"],
    "telco": ["bm_telco"],
    "unpack_sequence": ["bm_unpack_sequence"],
}


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runtime")
    parser.add_argument("--wasm", action="append", default=[])
    parser.add_argument("--only", action="append", choices=sorted(BENCHMARKS))
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--values", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=0.1, help="what a native measurement takes at least")
    return parser.parse_args()


class Side:
    """One of those that are compared."""

    def __init__(self, name, call):
        self.name, self.call, self.values = name, call, []

    def measure(self, given):
        result = json.loads(self.call(json.dumps(given).encode()))
        self.values += result["values"]
        return result["loops"]


def compare(sides, words, given):
    """All rounds of one benchmark: seconds a loop, by side."""
    given = {"script": words[0], "arguments": words[1:], "seconds": given.seconds, "values": given.values, "rounds": given.rounds}
    loops = sides[0].measure({**given, "loops": 0, "values": 1})
    for side in sides:
        side.values.clear()
    for _ in range(given["rounds"]):
        for side in sides:
            side.measure({**given, "loops": loops})
    return [list(side.values) for side in sides]


def mean(ratios):
    return math.exp(statistics.fmean(map(math.log, ratios)))


def main():
    given = arguments()
    packages = os.path.join(given.runtime, "lib/python3.11/site-packages")
    mounts = {"/pyfuncs/bench": os.path.join(HERE, "guest")}
    sides = [Side("native", lambda data: native("benchmark", data, packages))]
    for name, path in map(named, given.wasm or ["wasm=" + os.path.join(given.runtime, FUNCTION)]):
        guest = Guest(given.runtime, path)
        sides.append(Side(name, lambda data, guest=guest: guest.run("bench/benchmark", entry="run", data=data, mounts=mounts)))
    print(machine())
    wasms = [side.name for side in sides[1:]]
    print("\n| benchmark | native, ms min / median |" + "".join(f" {name}, ms | ratio of minima / medians |" for name in wasms))
    print("|---|---|" + "---|---|" * len(wasms))
    ratios = [([], []) for _ in wasms]
    for name in given.only or BENCHMARKS:
        base, *others = compare(sides, BENCHMARKS[name], given)
        row = f"| {name} | {low_and_middle(base, digits=3)} |"
        for values, (low, middle) in zip(others, ratios):
            low.append(min(values) / min(base))
            middle.append(statistics.median(values) / statistics.median(base))
            row += f" {low_and_middle(values, digits=3)} | {low[-1]:.2f} / {middle[-1]:.2f} |"
        print(row, flush=True)
    print("| geometric mean | |" + "".join(f" | {mean(low):.2f} / {mean(middle):.2f} |" for low, middle in ratios))
    print("\n" + machine())


sys.exit(main())
