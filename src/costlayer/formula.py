"""Formulas as people read them. Each is written once, in Python's notation, and printed as plain text or as LaTeX.

Notation: `+ - * / **`, comparisons, indices `z[j]`, and the functions of `FUNCTIONS`: `sum(e, k)` adds e over k,
`where(c, a, b)` is a where c holds, else b; `Phi` is the normal distribution, `lngamma` is ln Γ and `psi` its
derivative. `prod` and `most`, the largest, take e and k as `sum` does; in place of k may stand a condition, `k != t`.

>>> text("ln(1 + exp(z)) - y*z"), latex("(v - y)**2/2")
('ln(1 + exp(z)) − y·z', '\\\\frac{\\\\left(v - y\\\\right)^{2}}{2}')
"""

import ast
import math
import operator
from abc import ABC, abstractmethod

import numpy as np

FUNCTIONS = ("Phi", "abs", "arctan", "erf", "exp", "ln", "lngamma", "max", "min", "most", "prod", "psi", "sign", "sum")
FUNCTIONS += ("tanh", "where")
AND = ", "  # between the formulas that say what names stand for
_OVER = {"sum": ("Σ", r"\sum"), "prod": ("Π", r"\prod"), "most": ("max", r"\max")}  # over an index
_GREEK = {"alpha": "α", "beta": "β", "epsilon": "ε", "gamma": "γ", "pi": "π", "tau": "τ"}
_CALLED = {"lngamma": "lnΓ", "psi": "ψ", "Phi": "Φ"}
_SUPERSCRIPT = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")
_COMPARE = {
    ast.Lt: ("<", "<"),
    ast.LtE: ("≤", r"\le"),
    ast.Gt: (">", ">"),
    ast.GtE: ("≥", r"\ge"),
    ast.Eq: ("=", "="),
    ast.NotEq: ("≠", r"\ne"),
}


def _psi(x: float) -> float:
    """The derivative of ln Γ: by recurrence to where its series in 1/x² has all digits."""
    below = 0.0
    while x < 10.0:
        below, x = below + 1.0 / x, x + 1.0
    r = 1.0 / (x * x)
    return math.log(x) - 0.5 / x - r * (1 / 12 - r * (1 / 120 - r * (1 / 252 - r * (1 / 240 - r / 132)))) - below


_NUMBERS = {
    "Phi": lambda x: math.erfc(-x / math.sqrt(2.0)) / 2.0,
    "abs": abs,
    "arctan": math.atan,
    "erf": math.erf,
    "exp": np.exp,
    "ln": np.log,
    "lngamma": math.lgamma,
    "max": max,
    "min": min,
    "psi": _psi,
    "sign": np.sign,
    "tanh": np.tanh,
}
_OPERATORS = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}
_SUM, _SIGMA, _PRODUCT, _SIGN, _POWER, _ATOM = range(6)  # how tightly an expression binds


def text(source: str, given: str = "") -> str:
    """The formula as plain text; `given` says what names in it stand for, one formula or several with `AND` between."""
    return _join(_Text(), source, given, ",  ")


def latex(source: str, given: str = "") -> str:
    """The formula as LaTeX, without dollar signs; `given` as for `text`."""
    return _join(_Latex(), source, given, r",\quad ")


def evaluate(source: str, **names: float) -> float:
    """The number that a formula without sums gives, in float64.

    >>> float(evaluate("where(v > y, (v - y)**2, ln(y))", v=3.0, y=1.0))
    4.0
    """
    given = {name: np.float64(value) for name, value in names.items()}

    def number(node: ast.expr) -> float:
        match node:
            case ast.Constant(int() | float() as value):
                return np.float64(value)
            case ast.Name(name) if name in given:
                return given[name]
            case ast.UnaryOp(ast.USub(), operand):
                return -number(operand)
            case ast.BinOp(left, sign, right) if type(sign) in _OPERATORS:
                return _OPERATORS[type(sign)](number(left), number(right))
            case ast.Compare(left, [sign], [right]) if type(sign) in _OPERATORS:
                return _OPERATORS[type(sign)](number(left), number(right))
            case ast.Call(ast.Name("where"), [condition, a, b]):  # of the side that holds, as the other may be nothing
                return number(a if number(condition) else b)
            case ast.Call(ast.Name(name), arguments) if name in _NUMBERS:
                return _NUMBERS[name](*map(number, arguments))
        raise _unread(node)

    return number(ast.parse(source, mode="eval").body)


def _unread(node: ast.expr) -> ValueError:
    return ValueError(f"{ast.unparse(node)!r} is not in the notation of formulas: + - * / **, {', '.join(FUNCTIONS)}")


def mentions(source: str, name: str) -> bool:
    """Whether a name stands in the formula."""
    return any(isinstance(node, ast.Name) and node.id == name for node in ast.walk(ast.parse(source)))


def renamed(source: str, old: str, new: str) -> str:
    """The formula with another name, or an element such as `z[0]`, in place of one."""
    other = ast.parse(new, mode="eval").body
    return _replaced(source, lambda name: other if name == old else ast.Name(name))


def times(source: str, factor: str) -> str:
    """A formula times a factor, which is not written where the formula is divided by it."""
    match ast.parse(source, mode="eval").body:
        case ast.BinOp(left, ast.Div(), right) if ast.unparse(right) == factor:
            return ast.unparse(left)
    return f"({source})*({factor})"


def indexed(source: str, index: str) -> str:
    """A pointwise formula as one for the element `index`: v and y become v[index] and y[index]."""
    return _replaced(
        source, lambda name: ast.Subscript(ast.Name(name), ast.Name(index)) if name in ("v", "y") else ast.Name(name)
    )


def _join(style: "_Style", source: str, given: str, separator: str) -> str:
    formulas = [ast.parse(source, mode="eval").body]
    if given:
        said = ast.parse(given, mode="eval").body
        formulas += said.elts if isinstance(said, ast.Tuple) else [said]
    parts = [style.print(part)[0] for part in formulas]
    return separator.join(parts)


def _replaced(source: str, replace) -> str:
    class Replace(ast.NodeTransformer):
        def visit_Name(self, node):
            return replace(node.id)

    return ast.unparse(Replace().visit(ast.parse(source, mode="eval")))


class _Style(ABC):
    """Prints an expression and says how tightly the outcome binds; a style overrides what it draws differently."""

    minus, times, column = "−", "·", 0

    @abstractmethod
    def name(self, name: str) -> str: ...

    @abstractmethod
    def brackets(self, inner: str) -> str: ...

    @abstractmethod
    def subscript(self, value: str, index: str) -> str: ...

    @abstractmethod
    def fraction(self, left: ast.expr, right: ast.expr) -> tuple[str, int]: ...

    @abstractmethod
    def power(self, base: ast.expr, exponent: ast.expr) -> str: ...

    @abstractmethod
    def call(self, name: str, arguments: list[ast.expr]) -> tuple[str, int]: ...

    def print(self, node: ast.expr) -> tuple[str, int]:
        match node:
            case ast.Constant(int() | float() as value):
                return f"{value:g}", _ATOM
            case ast.Name(name):
                return self.name(name), _ATOM
            case ast.Subscript(value, index):
                return self.subscript(self.print(value)[0], self.print(index)[0]), _ATOM
            case ast.UnaryOp(ast.USub(), operand):
                return self.minus + self.wrapped(operand, _SIGMA), _SIGN
            case ast.BinOp(left, ast.Add(), right):
                return f"{self.wrapped(left, _SUM)} + {self.wrapped(right, _SIGMA, sign=True)}", _SUM
            case ast.BinOp(left, ast.Sub(), right):
                return f"{self.wrapped(left, _SUM)} {self.minus} {self.wrapped(right, _SIGMA, sign=True)}", _SUM
            case ast.BinOp(left, ast.Mult(), right):
                return self.wrapped(left, _PRODUCT) + self.times + self.wrapped(right, _PRODUCT, sign=True), _PRODUCT
            case ast.BinOp(left, ast.Div(), right):
                return self.fraction(left, right)
            case ast.BinOp(left, ast.Pow(), right):
                return self.power(left, right), _POWER
            case ast.Compare(left, [operator], [right]):
                sides = self.print(left)[0], self.print(right)[0]
                return f"{sides[0]} {_COMPARE[type(operator)][self.column]} {sides[1]}", _SUM
            case ast.Call(ast.Name(name), arguments) if name in FUNCTIONS:
                return self.call(name, arguments)
        raise _unread(node)

    def wrapped(self, node: ast.expr, least: int, sign: bool = False) -> str:
        """The expression, in brackets if it binds less tightly than its place needs or starts with a sign."""
        drawn, binds = self.print(node)
        return self.brackets(drawn) if binds < least or (sign and binds == _SIGN) else drawn


class _Text(_Style):
    def name(self, name):
        stem, mark, index = name.partition("_")
        return _GREEK.get(stem, stem) + mark + index

    def brackets(self, inner):
        return f"({inner})"

    def subscript(self, value, index):
        index = index.replace(" ", "")
        return f"{value}_{index}" if index.isalnum() else f"{value}_{{{index}}}"

    def fraction(self, left, right):
        return f"{self.wrapped(left, _PRODUCT)}/{self.wrapped(right, _POWER)}", _PRODUCT

    def power(self, base, exponent):
        if isinstance(exponent, ast.Constant) and str(exponent.value).isdigit():
            return self.wrapped(base, _ATOM) + str(exponent.value).translate(_SUPERSCRIPT)
        return f"{self.wrapped(base, _ATOM)}^{self.wrapped(exponent, _ATOM)}"

    def call(self, name, arguments):
        drawn = [self.print(a)[0] for a in arguments]
        if name == "abs":
            return f"|{drawn[0]}|", _ATOM
        if name in _OVER:
            return f"{self.subscript(_OVER[name][0], drawn[1])} {self.wrapped(arguments[0], _PRODUCT)}", _SIGMA
        if name == "where":
            return f"{{{drawn[1]} if {drawn[0]}, else {drawn[2]}}}", _ATOM
        return f"{_CALLED.get(name, name)}({', '.join(drawn)})", _ATOM


class _Latex(_Style):
    minus, times, column = "-", r" \, ", 1

    def name(self, name):
        stem, _, index = name.partition("_")
        drawn = stem if len(stem) == 1 else f"\\{stem}" if stem in _GREEK else rf"\mathrm{{{stem}}}"
        return rf"{drawn}_{{\mathrm{{{index}}}}}" if index else drawn

    def brackets(self, inner):
        return rf"\left({inner}\right)"

    def subscript(self, value, index):
        return f"{value}_{{{index}}}"

    def fraction(self, left, right):
        return rf"\frac{{{self.print(left)[0]}}}{{{self.print(right)[0]}}}", _PRODUCT

    def power(self, base, exponent):
        return f"{self.wrapped(base, _ATOM)}^{{{self.print(exponent)[0]}}}"

    def call(self, name, arguments):
        drawn = [self.print(a)[0] for a in arguments]
        match name:
            case "abs":
                return rf"\left|{drawn[0]}\right|", _ATOM
            case "exp":
                return f"e^{{{drawn[0]}}}", _POWER
            case "sum" | "prod" | "most":
                return f"{_OVER[name][1]}_{{{drawn[1]}}} {self.wrapped(arguments[0], _PRODUCT)}", _SIGMA
            case "where":
                rows = rf"{drawn[1]} & \text{{if }} {drawn[0]} \\ {drawn[2]} & \text{{else}}"
                return rf"\begin{{cases}} {rows} \end{{cases}}", _ATOM
            case "sign" | "erf":
                head = rf"\mathrm{{{name}}}"
            case "lngamma":
                head = r"\ln\Gamma"
            case _:
                head = f"\\{name}"
        return head + self.brackets(", ".join(drawn)), _ATOM
