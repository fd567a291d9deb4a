"""pyperf keeps and reads measurements. Taking them needs processes, which WASI has not."""

import pyperf


def faasm_main():
    runs = [pyperf.Run([1.0, 1.5, 2.0], metadata={"name": "sleep", "unit": "second"}, collect_metadata=False) for _ in range(2)]
    suite = pyperf.BenchmarkSuite([pyperf.Benchmark(runs)])
    path = suite.get_benchmark("sleep")
    assert (path.get_nvalue(), path.mean(), path.median()) == (6, 1.5, 1.5)
    assert pyperf.perf_counter() > 0
    print("pyperf: ok")
