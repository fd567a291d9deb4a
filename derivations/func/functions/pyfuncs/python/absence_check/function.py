"""Checks that what a WASI program can't have fails with the exception that programs expect, and says why."""

import concurrent.futures
import http.client
import io
import logging
import logging.handlers
import multiprocessing
import multiprocessing.pool
import os
import socket
import subprocess
import threading
import unittest
import urllib.error
import urllib.request


def fails(exception, words, function, *arguments, **named):
    try:
        function(*arguments, **named)
    except exception as error:
        assert words in str(error), repr(error)
    else:
        raise AssertionError(f"{function} did not fail")


def sockets():
    fails(OSError, "a WASI program can't make a socket", socket.socket)
    fails(OSError, "a WASI program can't make a socket", socket.socket, socket.AF_INET, socket.SOCK_DGRAM)
    fails(OSError, "a WASI program can't make a socket", socket.socketpair)
    fails(OSError, "a WASI program can't make a socket", socket.create_connection, ("127.0.0.1", 80))
    assert not hasattr(socket, "AF_UNIX")


def names():
    assert socket.getaddrinfo("127.0.0.1", "80", type=socket.SOCK_STREAM) == [
        (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", ("127.0.0.1", 80))
    ]
    assert socket.gethostbyname("localhost") == "127.0.0.1"
    assert socket.getfqdn() == "localhost" == socket.gethostname()
    assert socket.getnameinfo(("10.0.0.1", 80), 0) == ("10.0.0.1", "80")
    assert socket.inet_aton("1.2.3.4") == b"\1\2\3\4"
    fails(socket.gaierror, "can't look up names", socket.getaddrinfo, "example.org", 80)
    fails(socket.gaierror, "can't look up names", socket.gethostbyname, "example.org")
    fails(socket.herror, "can't look up addresses", socket.gethostbyaddr, "10.0.0.1")
    fails(OSError, "not found", socket.getservbyname, "http")


def http_and_urls():
    fails(OSError, "can't look up names", http.client.HTTPConnection("example.org").request, "GET", "/")
    fails(urllib.error.URLError, "a WASI program can't make a socket", urllib.request.urlopen, "http://127.0.0.1/")
    fails(urllib.error.URLError, "unknown url type: https", urllib.request.urlopen, "https://example.org/")
    with urllib.request.urlopen("data:text/plain,text") as answer:
        assert answer.read() == b"text"


def processes():
    fails(OSError, "wasi does not support processes", subprocess.run, ["true"])
    fails(OSError, "wasi does not support processes", os.popen, "true")
    fails(OSError, "wasi does not support processes", multiprocessing.Process(target=print).start)
    fails(OSError, "wasi does not support processes", multiprocessing.Lock)
    fails(OSError, "wasi does not support processes", multiprocessing.Queue)
    fails(OSError, "wasi does not support processes", multiprocessing.Pool, 1)
    fails(OSError, "wasi does not support processes", concurrent.futures.ProcessPoolExecutor)
    assert multiprocessing.current_process().name == "MainProcess"


def threads():
    fails(RuntimeError, "can't start new thread", threading.Thread(target=print).start)
    with concurrent.futures.ThreadPoolExecutor() as pool:
        fails(RuntimeError, "can't start new thread", pool.submit, print)


def logs():
    """A handler that can't send says so on standard error and lets the program go on."""
    handler = logging.handlers.DatagramHandler("127.0.0.1", 9)
    handler.handleError = lambda record: errors.append(record.getMessage())
    errors = []
    handler.emit(logging.makeLogRecord({"msg": "lost"}))
    assert errors == ["lost"], errors
    kept = logging.handlers.MemoryHandler(10)
    kept.emit(logging.makeLogRecord({"msg": "kept", "levelno": logging.INFO}))
    assert len(kept.buffer) == 1


def unit_tests():
    class Case(unittest.IsolatedAsyncioTestCase):
        def test_passes(self):
            self.assertEqual(1 + 1, 2)

        async def test_fails(self):
            self.fail("on purpose")

    result = unittest.TextTestRunner(stream=io.StringIO()).run(unittest.defaultTestLoader.loadTestsFromTestCase(Case))
    assert (result.testsRun, len(result.failures), len(result.errors)) == (2, 1, 0)


CHECKS = [sockets, names, http_and_urls, processes, threads, logs, unit_tests]


def faasm_main():
    for check in CHECKS:
        check()
        print(f"{check.__name__}: ok")
