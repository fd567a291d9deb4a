"""The smallest function."""

import sys


def faasm_main():
    print(f"hello from Python {sys.version.split()[0]} on {sys.platform}")
