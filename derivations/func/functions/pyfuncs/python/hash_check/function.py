"""Checks the hash functions against published values, and that hash() is not randomised between runs."""

import hashlib
import hmac
import os

# The digests of b"abc", as their standards give them.
OF_ABC = {
    "md5": "900150983cd24fb0d6963f7d28e17f72",
    "sha1": "a9993e364706816aba3e25717850c26c9cd0d89d",
    "sha256": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
    "sha512": "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
    "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
    "sha3_256": "3a985da74fe225b2045c172d6bd390bd855f086e3e9d525b46bfe24511431532",
    "blake2b": "ba80a53f981c4d0d6a2797b69f12f6e94c212f14685ac4b74b12bb6fdbffa2d1"
    "7d87c5392aab792dc252d5de4533cc9518d38aa8dbf1925ab92386edd4009923",
}


def faasm_main():
    for name, wanted in OF_ABC.items():
        got = hashlib.new(name, b"abc").hexdigest()
        assert got == wanted, f"{name} gives {got}"
        print(f"{name}: ok")

    tag = hmac.new(b"key", b"The quick brown fox jumps over the lazy dog", "sha256").hexdigest()
    assert tag == "f7bc83f430538424b13298e6aa6fb143ef4d59a14946175997479dbc2d1a3cd8", tag
    print("hmac: ok")

    assert os.environ.get("PYTHONHASHSEED") == "0", "PYTHONHASHSEED is not 0"
    print(f"hash of 'faasm': {hash('faasm')}")
