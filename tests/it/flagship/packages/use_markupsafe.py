"""The C part of markupsafe escapes as the Python part does."""

import markupsafe
from markupsafe import _native, _speedups


def faasm_main():
    assert markupsafe.escape is _speedups.escape, "the C part is not in use"
    assert _speedups.__name__ == "markupsafe._speedups", _speedups.__name__
    for value in ["plain", "<a href='x'>&\"", "zażółć <&> \U0001f40d", 42, None, markupsafe.Markup("<b>")]:
        assert _speedups.escape(value) == _native.escape(value), value
        assert type(_speedups.escape(value)) is markupsafe.Markup
    assert markupsafe.Markup("<em>%s</em>") % "<x>" == "<em>&lt;x&gt;</em>"
    print("markupsafe: ok")
