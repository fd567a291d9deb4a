"""The C proxies of wrapt behave as those in Python do."""

import copy

import wrapt
from wrapt import _wrappers, wrappers


@wrapt.decorator
def twice(wrapped, instance, args, kwargs):
    return 2 * wrapped(*args, **kwargs)


class Shape:
    @twice
    def size(self, by=1):
        """How large."""
        return 21 * by


def faasm_main():
    assert wrapt.ObjectProxy is _wrappers.ObjectProxy, "the C part is not in use"
    assert _wrappers.__name__ == "wrapt._wrappers", _wrappers.__name__
    assert Shape().size() == 42 and Shape().size(by=2) == 84 and Shape.size.__doc__ == "How large."
    for proxy in (_wrappers.ObjectProxy, wrappers.ObjectProxy):
        target = {"a": [1]}
        proxied = proxy(target)
        proxied["b"] = 2
        assert target == proxied == {"a": [1], "b": 2} and len(proxied) == 2 and "a" in proxied
        assert isinstance(proxied, dict) and proxied.__wrapped__ is target
        for method in (copy.copy, proxy.__reduce__):
            try:
                method(proxied)
            except NotImplementedError:
                continue
            raise AssertionError(f"{method} of a proxy")
        number = proxy(20)
        number += 1
        assert number * 2 == 42 and divmod(number, 4) == (5, 1) and hash(number) == hash(21)
    print("wrapt: ok")
