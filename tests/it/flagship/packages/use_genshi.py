"""Genshi makes XML of a template; its C part escapes as the Python part does."""

import genshi.core
from genshi import _speedups
from genshi.template import MarkupTemplate, NewTextTemplate


def faasm_main():
    assert genshi.core.Markup is _speedups.Markup, "the C part is not in use"
    assert _speedups.__name__ == "genshi._speedups", _speedups.__name__
    template = MarkupTemplate('<ul xmlns:py="http://genshi.edgewall.org/"><li py:for="n in names">$n</li></ul>')
    page = template.generate(names=["<a>", "b & c", "zażółć"]).render("xhtml", encoding=None)
    assert page == "<ul><li>&lt;a&gt;</li><li>b &amp; c</li><li>zażółć</li></ul>", page
    text = NewTextTemplate("{% for n in names %}${n};{% end %}").generate(names=[1, 2]).render(encoding=None)
    assert text == "1;2;", text
    print("genshi: ok")
