"""One family of errors: what was wrong, what came, what was expected, what to do."""

from collections.abc import Iterable


class CostLayerError(Exception):
    """An input costlayer cannot work with.

    Arguments:
        argument: the name of the argument, option, file or column at fault.
        got: what came, as a short text.
        expected: what would have been right.
        fix: what to do about it.
    """

    def __init__(self, argument: str, got: str | None = None, expected: str = "", fix: str = "") -> None:
        self.argument, self.got, self.expected, self.fix = argument, got, expected, fix
        if got is None:  # a host, as Keras is one, makes an error of the same kind anew, from its message alone
            super().__init__(argument)
        else:
            super().__init__(f"{argument}: got {got}; expected {expected}." + (f" {fix}" if fix else ""))

    def __reduce__(self):
        return type(self), (self.argument, self.got, self.expected, self.fix)


class InvalidValue(CostLayerError, ValueError):
    """The value of an argument is outside what is allowed."""


class InvalidType(CostLayerError, TypeError):
    """An argument is of a kind that is not supported."""


class UnsupportedDerivative(CostLayerError, NotImplementedError):
    """A derivative was asked for that costlayer cannot give; it never answers with a silent zero."""


class MissingExtra(CostLayerError, ImportError):
    """An optional dependency is not installed."""

    def __init__(self, package: str, extra: str) -> None:
        self.package, self.extra = package, extra
        super().__init__(
            package, "no such package", "the optional dependency", f"Run: pip install 'costlayer[{extra}]'"
        )

    def __reduce__(self):
        return type(self), (self.package, self.extra)


class SaturationWarning(UserWarning):
    """The pair starves the network of gradient where its output is most wrong."""


def nearest(name: str, known: Iterable[object]) -> str:
    """The part of an error that suggests the closest of the known names, or lists them."""
    import difflib

    names = sorted(map(str, known))
    folded = {each.casefold(): each for each in names}
    if close := difflib.get_close_matches(str(name).casefold(), folded, n=3, cutoff=0.5):
        return "Did you mean " + " or ".join(repr(folded[each]) for each in close) + "?"
    return "Known: " + ", ".join(names[:40]) + (f" and {len(names) - 40} more." if len(names) > 40 else ".")


class CacheWarning(UserWarning):
    """Compiled kernels cannot be kept on disk: the results are the same, and every process waits for its compiler."""


class UnfusedWarning(UserWarning):
    """Scores are on a device or of a type that no engine covers: the result is right, but takes several passes."""
