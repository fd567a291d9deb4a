#!/usr/bin/env python3
"""Makes the tree of the benchmark: FILES files of skewed sizes, half of them random bytes and half text, a few executable, a few links."""

import hashlib
import os
import random
import sys


def main(root, count, mebibytes):
    rng = random.Random(1)
    sizes = [rng.lognormvariate(0, 1.2) for _ in range(count)]
    scale = mebibytes * (1 << 20) / sum(sizes)
    text = b"".join(hashlib.sha256(bytes([i])).hexdigest().encode() + b" lorem ipsum\n" for i in range(64))
    for i, size in enumerate(sizes):
        directory = f"{root}/d{i // 1000:03d}/e{i // 100 % 10}"
        if i % 100 == 0:
            os.makedirs(directory, exist_ok=True)
        length, path = int(size * scale), f"{directory}/file{i:05d}"
        content = hashlib.shake_128(i.to_bytes(4, "big")).digest(length) if i % 2 else (text * (length // len(text) + 1))[:length]
        with open(path, "wb") as file:
            file.write(content)
        if i % 50 == 0:
            os.chmod(path, 0o755)
        if i % 500 == 0:
            os.symlink(f"file{i:05d}", f"{directory}/link{i:05d}")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
