"""Compiles a program ahead, for run-function on any x86-64 machine.

Usage: compile-function PROGRAM FOLDER
"""

import os
import sys

# Beside the folder that this file is in.
sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.realpath(__file__))), "lib"))

from engine import compile_ahead  # noqa: E402  (only now can it be found)

if len(sys.argv) != 3:
    sys.exit("usage: compile-function PROGRAM FOLDER")
compile_ahead(*sys.argv[1:])
