"""Size and start-up of func.wasm: one table row for each file.

Usage: start.py RUNTIME [--wasm [NAME=]FILE ...] [--runs N]

compile: from wasm to machine code, on all cores; start: an instance of what was compiled ahead, until the function `noop` has ended. The files
take turns.
"""

import argparse
import os
import subprocess
import sys
import time
import zlib

from guests import FUNCTION, Guest, low_and_middle, machine, named


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runtime")
    parser.add_argument("--wasm", action="append", default=[])
    parser.add_argument("--runs", type=int, default=10)
    return parser.parse_args()


def timed(call):
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def native_start():
    subprocess.run([sys.executable, "-s", "-B", "-c", "pass"], check=True, env={"PYTHONHASHSEED": "0"})


def main():
    given = arguments()
    paths = dict(named(text) for text in given.wasm or [os.path.join(given.runtime, FUNCTION)])
    print(machine())
    guests, compiles, starts = {}, {name: [] for name in paths}, {name: [] for name in paths}
    for _ in range(2):
        for name, path in paths.items():
            guests[name] = Guest(given.runtime, path)
            compiles[name].append(guests[name].compiled)
    native = []
    for _ in range(given.runs):
        native.append(timed(native_start))
        for name in paths:
            starts[name].append(timed(lambda: guests[name].run("noop")))
    print("\n| func.wasm | MB | MB, deflated | machine code, MB | compile, s min / median | of processor time | start, ms min / median |")
    print("|---|---|---|---|---|---|---|")
    for name, path in paths.items():
        with open(path, "rb") as file:
            data = file.read()
        wall, processor = zip(*compiles[name])
        sizes = f"{len(data) / 1e6:.2f} | {len(zlib.compress(data, 9)) / 1e6:.2f} | {guests[name].compiled_size / 1e6:.1f}"
        times = f"{low_and_middle(wall, 1, 2)} | {low_and_middle(processor, 1, 2)} | {low_and_middle(starts[name])}"
        print(f"| {name} | {sizes} | {times} |")
    print(f"| native Python, `-c pass` | | | | | | {low_and_middle(native)} |")
    print("\n" + machine())


sys.exit(main())
