#!/usr/bin/env python3
"""What it costs to serve a cache: throughput of NARs, lookups a second, and the server's processor time for both.

  serving.py make DIR MEGABYTES LOOKUPS      a directory with NARs of 1 to 64 MiB and so many descriptions
  serving.py compare DIR [--seconds N] [--runs N] NAME PID PORT NAME PID PORT      the second by the first, in turn

Processor time is that of the process and its children, from /proc/PID/stat. Of several runs the least counts: noise only ever adds.
"""

import argparse
import hashlib
import os
import pathlib
import re
import socket
import subprocess
import threading
import time

TICKS = os.sysconf("SC_CLK_TCK")
ALPHABET = "0123456789abcdfghijklmnpqrsvwxyz"


def make(directory, megabytes, lookups):
    root = pathlib.Path(directory)
    (root / "nar").mkdir(parents=True)
    left, size, number = megabytes, 1, 0
    while left > 0:
        size = min(size, left)
        data = os.urandom(1 << 20) * size
        (root / "nar" / f"{number:052d}.nar").write_bytes(data)
        left, number, size = left - size, number + 1, size * 2 if size < 64 else 1
    for index in range(lookups):
        digest = hashlib.sha256(str(index).encode()).digest()
        name = "".join(ALPHABET[byte % 32] for byte in digest)
        hash52 = "0" + (name + name)[:51]
        (root / f"{name}.narinfo").write_text(
            f"StorePath: /kiln/store/{name}-object-{index}\nURL: nar/{hash52}.nar.zst\nCompression: zstd\nFileHash: sha256:{hash52}\n"
            f"FileSize: {index + 1000}\nNarHash: sha256:{hash52}\nNarSize: {index + 4000}\nReferences: {name}-object-{index}\n"
            f"Sig: key-1:{'A' * 86}==\nCA: fixed:r:sha256:{hash52}\n"
        )


def seconds_of(pid):
    """User and system seconds of a process and those it started."""
    total = 0
    children = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True).stdout.split()
    for one in [str(pid), *children]:
        fields = pathlib.Path(f"/proc/{one}/stat").read_text().rsplit(")", 1)[1].split()
        total += int(fields[11]) + int(fields[12])
    return total / TICKS


def fetch(port, paths, sizes):
    """Fetches all paths over one connection, one after the other, into a buffer that is thrown away."""
    buffer = bytearray(1 << 20)
    with socket.create_connection(("127.0.0.1", port)) as connection:
        for path in paths:
            connection.sendall(f"GET {path} HTTP/1.1\r\nHost: bench\r\n\r\n".encode())
            head = b""
            while b"\r\n\r\n" not in head:
                head += connection.recv(65536)
            head, rest = head.split(b"\r\n\r\n", 1)
            assert head.startswith(b"HTTP/1.1 200"), head
            left = sizes[path] - len(rest)
            while left > 0:
                count = connection.recv_into(buffer, min(left, len(buffer)))
                assert count > 0, "the server hung up"
                left -= count


def nars(server, root, connections):
    """Every NAR once: (MiB a second, processor seconds a GiB)."""
    _, pid, port = server
    sizes = {"/nar/" + path.name: path.stat().st_size for path in sorted((root / "nar").iterdir())}
    paths = sorted(sizes, key=sizes.get, reverse=True)
    shares = [paths[index::connections] for index in range(connections)]
    threads = [threading.Thread(target=fetch, args=(port, share, sizes)) for share in shares if share]
    before, start = seconds_of(pid), time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    wall, used = time.monotonic() - start, seconds_of(pid) - before
    total = sum(sizes.values())
    return total / (1 << 20) / wall, used / (total / (1 << 30))


def lookups(server, root, connections, seconds, script):
    """Descriptions, for some seconds: (requests a second, processor seconds a thousand)."""
    _, pid, port = server
    before = seconds_of(pid)
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", script, f"http://127.0.0.1:{port}"]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    used = seconds_of(pid) - before
    count = int(re.search(r"(\d+) requests in", out).group(1))
    assert "Non-2xx" not in out, out
    return float(re.search(r"Requests/sec:\s+([\d.]+)", out).group(1)), used / (count / 1000)


def compare(arguments):
    root = pathlib.Path(arguments.directory).resolve()
    words = arguments.servers
    servers = [(words[0], int(words[1]), int(words[2])), (words[3], int(words[4]), int(words[5]))]
    script = root.parent / "lookups.lua"
    names = ",".join(f'"/{path.name}"' for path in sorted(root.glob("*.narinfo")))
    script.write_text(f"local names = {{{names}}}\nlocal at = 0\nfunction request() at = at % #names + 1 return wrk.format(\"GET\", names[at]) end\n")
    print(f"| work | {servers[0][0]} rate | {servers[1][0]} rate | ratio | {servers[0][0]} CPU | {servers[1][0]} CPU | ratio of CPU | aim |")
    print("|---|---|---|---|---|---|---|---|")
    works = []
    for connections in (1, 16):
        works.append((f"NARs, {connections} connections", "MiB/s", "s/GiB", lambda server, c=connections: nars(server, root, c)))
    for connections in (1, 16):
        works.append((f"lookups, {connections} connections", "/s", "s/1 000", lambda server, c=connections: lookups(server, root, c, arguments.seconds, str(script))))
    for name, rate_unit, cost_unit, work in works:
        results = [[], []]
        for server in servers:
            nars(server, root, 1) if "NARs" in name else None  # into the page cache
        for _ in range(arguments.runs):
            for index, server in enumerate(servers):
                results[index].append(work(server))
        rates = [max(rate for rate, _ in result) for result in results]
        costs = [min(cost for _, cost in result) for result in results]
        aim = "met" if costs[1] <= 1.1 * costs[0] else "NOT met"
        print(f"| {name} | {rates[0]:.0f} {rate_unit} | {rates[1]:.0f} {rate_unit} | {rates[1] / rates[0]:.2f} "
              f"| {costs[0]:.4f} {cost_unit} | {costs[1]:.4f} {cost_unit} | {costs[1] / costs[0]:.2f} | 1.10, {aim} |", flush=True)


def main():
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers(dest="command", required=True)
    making = commands.add_parser("make")
    making.add_argument("directory")
    making.add_argument("megabytes", type=int)
    making.add_argument("lookups", type=int)
    comparing = commands.add_parser("compare")
    comparing.add_argument("directory")
    comparing.add_argument("--seconds", type=int, default=4)
    comparing.add_argument("--runs", type=int, default=5)
    comparing.add_argument("servers", nargs=6)
    arguments = parser.parse_args()
    make(arguments.directory, arguments.megabytes, arguments.lookups) if arguments.command == "make" else compare(arguments)


if __name__ == "__main__":
    main()
