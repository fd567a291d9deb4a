"""In the place of CPython's C module `_multiprocessing`, which is about semaphores that processes share: WASI has no processes.

With it `multiprocessing`, `multiprocessing.connection` and `concurrent.futures.process` can be imported. Making a lock, a queue or a
pool raises OSError.
"""

import errno

flags = {}


class SemLock:
    SEM_VALUE_MAX = 2**31 - 1

    def __init__(self, *arguments, **named):
        raise OSError(errno.ENOTSUP, "wasi does not support processes, nor semaphores between them")


def sem_unlink(name):
    raise FileNotFoundError(errno.ENOENT, "there are no semaphores", name)
