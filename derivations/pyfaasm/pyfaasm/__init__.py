"""Faasm for Python functions: input, output, state shared between calls, and calls of other entries.

    from pyfaasm.core import read_input, write_output

The functions are in `pyfaasm.core`.
"""

__version__ = "1.0"
