"""Products of square matrices: numpy in several runtimes and, if it is there, native numpy, in turn; a table of times and ratios.

Usage: product.py --runtime NAME=TREE [--runtime NAME=TREE ...] [--native FOLDER] [--rounds N]

The first runtime is what the others are compared with. FOLDER has numpy's wheel, unpacked: its BLAS gets one thread.
"""

import argparse
import json
import os
import sys

from guests import HERE, Guest, machine, native

# Type, size, products a round.
CASES = [
    ("float64", 100, 20),
    ("float64", 300, 5),
    ("float64", 500, 2),
    ("float64", 1000, 1),
    ("float32", 100, 20),
    ("float32", 300, 5),
    ("float32", 500, 2),
    ("float32", 1000, 1),
]


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runtime", action="append", required=True, metavar="NAME=TREE")
    parser.add_argument("--native", metavar="FOLDER")
    parser.add_argument("--rounds", type=int, default=3)
    return parser.parse_args()


def sides(given):
    """What is compared, by name: each a function from the cases to the seconds of each product."""
    mounts = {"/pyfuncs/bench": os.path.join(HERE, "guest")}
    found = {}
    for runtime in given.runtime:
        name, _, tree = runtime.partition("=")
        guest = Guest(tree)
        found[name] = lambda data, guest=guest: guest.run("bench/product", entry="run", data=data, mounts=mounts)
    if given.native:
        found["native"] = lambda data: native("product", data, given.native, OPENBLAS_NUM_THREADS="1")
    return found


def main():
    given = arguments()
    compared = sides(given)
    print(machine())
    best = {name: [float("inf")] * len(CASES) for name in compared}
    for _ in range(given.rounds):
        for name, call in compared.items():
            times = json.loads(call(json.dumps(CASES).encode()))
            best[name] = [min(before, *now) for before, now in zip(best[name], times)]
    first, *others = compared
    print(f"\n| product | {first}, ms |" + "".join(f" {name}, ms | times faster |" for name in others))
    print("|---|---|" + "---|---|" * len(others))
    for number, (kind, size, _) in enumerate(CASES):
        row = f"| {kind}, {size} | {1000 * best[first][number]:.2f} |"
        for name in others:
            row += f" {1000 * best[name][number]:.2f} | {best[first][number] / best[name][number]:.1f} |"
        print(row)
    print("\n" + machine())


sys.exit(main())
