"""Checks zlib, bz2 and lzma against bytes that other builds of them made, and the modules that stand on them."""

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile
import zlib

TEXT = b"faasm " * 40

# TEXT, as compressed elsewhere.
ZLIB = "78da4b4b4c2cce55481b312400b3885641"
GZIP = "1f8b08000000000002034b4b4c2cce55481b312400033eb686f0000000"
BZIP2 = "425a6839314159265359e536f1a800004f9180400021020800200030cd0052a3d46130984c2784e89f177245385090e536f1a8"
XZ = (
    "fd377a585a000004e6d6b4460200210116000000742fe5a3e000ef000c5d0033186ce66fc8a5b32306800000"
    "281867882dfadae1000128f001000000be6422d8b1c467fb020000000004595a"
)
LZMA_ALONE = "5d00008000ffffffffffffffff0033186ce66fc8a5b32c0359fffffbc66000"

# More than any window or block: it compresses badly at first and well when it comes again.
LONG = b"".join(number.to_bytes(4, "big") for number in range(0, 2**32, 2**15 + 7)) * 2


def known_bytes():
    assert zlib.decompress(bytes.fromhex(ZLIB)) == TEXT
    assert zlib.compress(TEXT, 9).hex() == ZLIB
    assert gzip.decompress(bytes.fromhex(GZIP)) == TEXT
    assert bz2.decompress(bytes.fromhex(BZIP2)) == TEXT
    assert bz2.compress(TEXT, 9).hex() == BZIP2
    assert lzma.decompress(bytes.fromhex(XZ)) == TEXT
    assert lzma.compress(TEXT).hex() == XZ
    assert lzma.decompress(bytes.fromhex(LZMA_ALONE)) == TEXT


def checksums():
    assert zlib.crc32(b"123456789") == 0xCBF43926
    assert zlib.adler32(b"Wikipedia") == 0x11E60398


def round_trips():
    for module in zlib, gzip, bz2, lzma:
        packed = module.compress(LONG)
        assert len(packed) < len(LONG), module.__name__
        assert module.decompress(packed) == LONG, module.__name__


def streams():
    for packer, unpacker in (
        (zlib.compressobj(), zlib.decompressobj()),
        (bz2.BZ2Compressor(), bz2.BZ2Decompressor()),
        (lzma.LZMACompressor(), lzma.LZMADecompressor()),
    ):
        pieces = [LONG[at:at + 10_000] for at in range(0, len(LONG), 10_000)]
        packed = b"".join(map(packer.compress, pieces)) + packer.flush()
        assert b"".join(unpacker.decompress(packed[at:at + 999]) for at in range(0, len(packed), 999)) == LONG


def damage_is_found():
    for module, packed, error in (
        (zlib, ZLIB, zlib.error),
        (gzip, GZIP, (OSError, zlib.error)),
        (bz2, BZIP2, OSError),
        (lzma, XZ, lzma.LZMAError),
    ):
        damaged = bytearray.fromhex(packed)
        damaged[len(damaged) // 2] ^= 0x55
        try:
            module.decompress(bytes(damaged))
        except error:
            continue
        raise AssertionError(f"{module.__name__} does not find the damage")


def zip_files():
    for method in zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA:
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w", method) as archive:
            archive.writestr("a/text", TEXT)
            archive.writestr("long", LONG)
        with zipfile.ZipFile(file) as archive:
            assert archive.testzip() is None
            assert archive.read("a/text") == TEXT and archive.read("long") == LONG
            stored = archive.getinfo("a/text").compress_size == len(TEXT)
            assert stored == (method == zipfile.ZIP_STORED)


def tar_files():
    for kind in "", "gz", "bz2", "xz":
        file = io.BytesIO()
        with tarfile.open(fileobj=file, mode=f"w:{kind}") as archive:
            entry = tarfile.TarInfo("a/long")
            entry.size = len(LONG)
            archive.addfile(entry, io.BytesIO(LONG))
        file.seek(0)
        with tarfile.open(fileobj=file) as archive:
            assert archive.getnames() == ["a/long"]
            assert archive.extractfile("a/long").read() == LONG


CHECKS = [known_bytes, checksums, round_trips, streams, damage_is_found, zip_files, tar_files]


def faasm_main():
    for check in CHECKS:
        check()
        print(f"{check.__name__}: ok")
