"""pyaes encrypts as the standard (FIPS 197, appendix C) says, and decrypts what it encrypted."""

import pyaes


def faasm_main():
    key = bytes(range(16))
    block = bytes.fromhex("00112233445566778899aabbccddeeff")
    encrypted = bytes(pyaes.AES(key).encrypt(block))
    assert encrypted.hex() == "69c4e0d86a7b0430d8cdb78070b4c55a", encrypted.hex()
    assert bytes(pyaes.AES(key).decrypt(encrypted)) == block
    text = b"any length " * 21
    assert pyaes.AESModeOfOperationCTR(key).decrypt(pyaes.AESModeOfOperationCTR(key).encrypt(text)) == text
    print("pyaes: ok")
