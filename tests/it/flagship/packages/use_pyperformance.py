"""Benchmarks of pyperformance, called in this process: what measures them would start others."""

import importlib.util
import os

import pyperformance

FOLDER = os.path.join(os.path.dirname(pyperformance.__file__), "data-files", "benchmarks")


def load(name):
    path = os.path.join(FOLDER, f"bm_{name}", "run_benchmark.py")
    spec = importlib.util.spec_from_file_location(f"bm_{name}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def faasm_main():
    load("deltablue").delta_blue(50)
    load("richards").Richards().run(1)
    assert load("nqueens").bench_n_queens(5) is None or True
    assert load("fannkuch").fannkuch(6) == 10
    nbody = load("nbody")
    nbody.bench_nbody(1, "sun", 100)
    aes = load("crypto_pyaes")
    aes.bench_pyaes(1)
    print("pyperformance: ok")
