"""Raises Python's own limit, and then recurses through C until there is no stack."""

import sys


class Deep:
    def __repr__(self):
        return repr([self])


def faasm_main():
    sys.setrecursionlimit(10**9)
    repr(Deep())
