"""libyaml reads and writes what PyYAML's Python part does."""

import datetime

import yaml
from yaml import _yaml

TEXT = """
# a comment
name: &name "zażółć \\u2028"
list: [1, -2.5, ~, yes, 0x1f, 2020-02-29]
folded: >
  one
  two
literal: |
  a
   b
again: *name
? [complex, key]
: {a: 1}
"""


def faasm_main():
    assert yaml.__with_libyaml__, "libyaml is not in use"
    assert _yaml.__name__ == "yaml._yaml", _yaml.__name__
    assert _yaml.get_version_string() == "0.2.5"
    text = TEXT.replace("? [complex, key]\n: {a: 1}\n", "")
    in_c = yaml.load(text, Loader=yaml.CSafeLoader)
    assert in_c == yaml.load(text, Loader=yaml.SafeLoader)
    assert in_c["list"][5] == datetime.date(2020, 2, 29)
    assert list(map(str, yaml.parse(TEXT, Loader=yaml.CSafeLoader))) == list(map(str, yaml.parse(TEXT, Loader=yaml.SafeLoader)))
    for flow in (False, True):
        written = yaml.dump(in_c, Dumper=yaml.CSafeDumper, default_flow_style=flow, allow_unicode=True)
        assert yaml.safe_load(written) == in_c, written
    try:
        yaml.load("a: [1, 2", Loader=yaml.CSafeLoader)
    except yaml.YAMLError as error:
        assert "line 1" in str(error), error
        print("pyyaml: ok")
