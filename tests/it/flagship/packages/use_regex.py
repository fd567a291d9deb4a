"""regex, whose engine is in C, finds what re finds, and what re can't."""

import re

import regex

TEXT = "The quick brown fox, 2024-11-06, straße STRASSE, a.b@example.org " * 50
PATTERNS = [r"\b\w{5}\b", r"(\d{4})-(\d\d)-(\d\d)", r"(?i)stra(ss|ß)e", r"[^\s,]+@\S+", r"(?<=quick )\w+", r"(a|b)*?c?"]


def faasm_main():
    assert regex._regex.__name__ == "regex._regex", regex._regex.__name__
    for pattern in PATTERNS:
        ours, theirs = regex.findall(pattern, TEXT), re.findall(pattern, TEXT)
        assert ours == theirs, f"{pattern}: {ours[:3]} is not {theirs[:3]}"
    assert regex.sub(r"(\w+) (\w+)", r"\2 \1", TEXT) == re.sub(r"(\w+) (\w+)", r"\2 \1", TEXT)
    assert regex.match(r"(?:(\w)\s?)+", "a b c").captures(1) == ["a", "b", "c"]
    assert regex.search(r"(?:brown){e<=1}", "a braun fox browm").group() == "browm"
    assert regex.fullmatch(r"\p{Greek}+", "αβγ")
    assert regex.findall(r"\X", "e\u0301a") == ["e\u0301", "a"]
    print("regex: ok")
