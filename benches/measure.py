#!/usr/bin/env python3
"""Runs two commands in turn, A B A B ..., and says how the second compares with the first.

In: a name, an aim, and two commands, each with an optional shell command that prepares a run. Out: one line on standard output, and one
JSON document a line in the file of results. A command is executed without a shell; its messages go to the log.
Not here: what is compared (against-nix.sh), and any judgement beyond "the minimum meets the aim".
"""

import argparse
import json
import os
import shlex
import statistics
import subprocess
import sys
import time


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--results", required=True, help="file that gets a JSON document a line")
    parser.add_argument("--log", required=True, help="file that gets the commands' messages")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--warm", type=int, default=0, help="runs of each before any is counted")
    parser.add_argument("--aim", type=float, help="the ratio that is wanted")
    parser.add_argument("--prepare-peer", default="")
    parser.add_argument("--prepare-kiln", default="")
    parser.add_argument("--work", type=int, default=1, help="how many pieces of work a run is; for the time of one")
    parser.add_argument("--peer", help="what kiln is compared with; none if only kiln is measured")
    parser.add_argument("--kiln", required=True)
    parser.add_argument("name")
    return parser.parse_args()


def run(command, prepare, log):
    """One run: wall and processor seconds, and peak memory, of the command and all that it waited for."""
    if prepare:
        subprocess.run(["bash", "-euc", prepare], stdout=log, stderr=log, check=True)
    words = shlex.split(command)
    start = time.monotonic()
    child = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=log)
    _, status, usage = os.wait4(child.pid, 0)
    wall = time.monotonic() - start
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode != 0:
        sys.exit(f"`{command}` ended with {child.returncode}; see {log.name}")
    return {"wall": wall, "cpu": usage.ru_utime + usage.ru_stime, "peak_mib": usage.ru_maxrss / 1024}


def summary(runs):
    walls, cpus = [r["wall"] for r in runs], [r["cpu"] for r in runs]
    return {
        "wall_min": min(walls),
        "wall_median": statistics.median(walls),
        "cpu_min": min(cpus),
        "cpu_median": statistics.median(cpus),
        "peak_mib": max(r["peak_mib"] for r in runs),
        "runs": len(runs),
    }


def main():
    options = arguments()
    sides = [(side, command, prepare) for side, command, prepare in
             (("peer", options.peer, options.prepare_peer), ("kiln", options.kiln, options.prepare_kiln)) if command]
    runs = {side: [] for side, _, _ in sides}
    with open(options.log, "a", encoding="utf-8") as log:
        for number in range(options.warm + options.runs):
            for side, command, prepare in sides:
                result = run(command, prepare, log)
                if number >= options.warm:
                    runs[side].append(result)
    found = {"name": options.name, "aim": options.aim, "work": options.work}
    found |= {side: summary(results) for side, results in runs.items()}
    with open(options.results, "a", encoding="utf-8") as results:
        results.write(json.dumps(found) + "\n")
    print(line(found), flush=True)


def seconds(value):
    return f"{value * 1000:.1f} ms" if value < 1 else f"{value:.2f} s"


def line(found):
    """`| name | peer min / median | kiln min / median | ratio min / median | ratio of processor time | peaks | each | verdict |`"""
    def times(side):
        return f"{seconds(found[side]['wall_min'])} / {seconds(found[side]['wall_median'])}" if side in found else "-"
    cells = [found["name"], times("peer"), times("kiln")]
    kiln = found["kiln"]
    if "peer" in found:
        ratio = {key: kiln[key] / found["peer"][key] for key in ("wall_min", "wall_median", "cpu_min")}
        cells += [f"{ratio['wall_min']:.2f} / {ratio['wall_median']:.2f}", f"{ratio['cpu_min']:.2f}"]
        cells.append(f"{found['peer']['peak_mib']:.0f} / {kiln['peak_mib']:.0f} MiB")
    else:
        cells += ["-", "-", f"- / {kiln['peak_mib']:.0f} MiB"]
    cells.append(seconds(kiln["wall_min"] / found["work"]) if found["work"] > 1 else "-")
    if found["aim"] is None or "peer" not in found:
        cells.append("-")
    else:
        cells.append(f"{found['aim']:.2f} {'met' if ratio['wall_min'] <= found['aim'] else 'MISSED'}")
    return "| " + " | ".join(cells) + " |"


if __name__ == "__main__":
    main()
