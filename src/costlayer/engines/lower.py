"""From a pair to a program: the text of every formula it needs, in the scalar language, ready for any engine's words.

The text stands by itself: names of formulas are made unique, and float literals become `real(literal)`, so that an
engine chooses its element type by what it calls `real`. What it defines:
- `activation(z, *a)`: v, φ', φ''  (pointwise activations),
- `inverse(v, *a)`: z,
- `cost(v, y, *c)`: ℓ and its derivatives by v, for a cost of the error v − y by `cost_of_error(error, y, *c)`,
- `error`: v − y as the activation gives it, and φ'² + φ'' (v − y)  (compositions with a cost of the error),
- `terms(z, y, *parameters)`: value, δ, curvature  (pointwise pairs), by closed form or by the chain rule,
- `terms(z_0, z_1, y, *parameters)`: value, δ of both, and the second derivatives by z_0, by both and by z_1, with
  `first` and `second`, `first_inverse` and `second_inverse` for the two activations  (pairs of two scores),
- `row_terms(p, q, log_p, log_q, y, *parameters)` and, where the pair has it, `margin(d, e, *parameters)`  (row pairs),
- `row_cost` and `row_prediction`, with loops of their own  (pairs that are written for whole rows),
- the loops of `costlayer.engines.kernels` that run these over arrays.
"""

import ast
import inspect
import textwrap
from collections.abc import Callable
from functools import cache

from costlayer.engines import kernels
from costlayer.errors import InvalidValue
from costlayer.pair import Activation, Pair, chain, chain_error, chain_log, chain_row, error, error_row
from costlayer.words import VOCABULARY


@cache
def program(pair: Pair) -> str:
    """The text of the formulas of a pair; the same for every value of its parameters."""
    text = _Text()
    if pair.activation.parts:
        _two_scores(pair, *pair.activation.parts, text)
        return text.whole(pair)
    if (closed := pair.closed) and closed.row and pair.activation.predict:
        text.entry("row_cost", closed.row)
        text.entry("row_prediction", pair.activation.predict)
        return text.whole(pair)
    assert pair.cost.terms, "a cost of a whole row comes with its closed form"
    a, c = list(pair.activation.parameters), list(pair.cost.parameters)
    arguments = "".join(f", {name}" for name in a + c)
    if pair.activation.terms and pair.activation.inverse:
        text.entry("activation", pair.activation.terms)
        text.entry("inverse", pair.activation.inverse)
    of_error, after = pair.cost.of_error, "".join(f", {name}" for name in ["y", *c])
    text.entry("cost_of_error" if of_error else "cost", pair.cost.terms)
    if of_error:
        text.lines.append(f"def cost(v{after}):\n    return cost_of_error(v - y{after})")
    if closed and closed.terms:
        text.entry("terms", closed.terms)
    elif not pair.row and pair.activation.formula == "z":
        text.lines.append("terms = cost")
    elif not pair.row:
        own = pair.activation.error
        lines = [f"def terms(z, y{arguments}):", f"    v, gain, bend = activation({', '.join(['z', *a])})"]
        if of_error:
            text.entry("chain", chain_error)
            text.entry("error", own or error)
            lines += [
                f"    off, square = error({', '.join(['z', 'y', *a] if own else ['y', 'v', 'gain', 'bend'])})",
                f"    value, slope, curve = cost_of_error(off{after})",
                "    return chain(off, gain, bend, square, value, slope, curve)",
            ]
        else:
            text.entry("chain", chain)
            lines += [
                f"    value, slope, curve = cost(v{after})",
                "    return chain(gain, bend, value, slope, curve)",
            ]
        text.lines.append("\n".join(lines))
    elif closed and closed.row_terms:
        text.entry("row_terms", closed.row_terms)
    else:
        text.entry("chain", chain_row)
        if of_error:
            text.entry("error", error_row)
        text.lines.append(
            f"def row_terms(p, q, log_p, log_q, y{arguments}):\n"
            f"    value, slope, curve = {'cost_of_error(error(p, q, y)' if of_error else 'cost(p'}{after})\n"
            "    return chain(p, q, value, slope, curve)"
        )
    if closed and closed.margin:
        text.entry("margin", closed.margin)
    return text.whole(pair)


def _two_scores(pair: Pair, first: Activation, second: Activation, text: "_Text") -> None:
    """The formulas of a pair of two scores, composed by the chain rule: the second prediction by its logarithm, and so
    the first where it is a shape too; the first by itself where it is a location."""
    formulas = {
        "first": first.terms,
        "first_inverse": first.inverse,
        "second": second.terms,
        "second_inverse": second.inverse,
        "scale": second.scale,
        "first_scale": None if pair.cost.of_error else first.scale,
        "cost": pair.cost.terms,
        "chain": chain,
        "chain_log": chain_log,
    }
    for name, formula in formulas.items():
        if formula:
            text.entry(name, formula)
    given = "".join(f", {name}" for name in pair.cost.parameters)
    lines = [f"def terms(x, z, y{given}):", "    s, log_s, slope, turn, f, g = scale(z)"]
    if pair.cost.of_error:
        lines += [
            "    v, gain, bend = first(x)",
            f"    value, by_v, by_s, by_v_v, by_v_s, by_s_s = cost(v - y, s, log_s, f, g{given})",
            "    value, delta, curve = chain(gain, bend, value, by_v, by_v_v)",
        ]
    else:
        lines += [
            "    v, log_v, gain, bend, _, _ = first_scale(x)",
            f"    value, by_v, by_s, by_v_v, by_v_s, by_s_s = cost(v, log_v, s, log_s, y{given})",
            "    delta, curve = chain_log(gain, bend, by_v, by_v_v)",
        ]
    lines += [
        "    second_delta, second_curve = chain_log(slope, turn, by_s, by_s_s)",
        "    return value, delta, second_delta, curve, gain * slope * by_v_s, second_curve",
    ]
    text.lines.append("\n".join(lines))


def loops(pair: Pair) -> tuple[Callable, ...]:
    """The kernels that a pair needs."""
    if pair.two:
        return kernels.two_scores, kernels.activate_two
    if not pair.row:
        return kernels.pointwise, kernels.activate
    if pair.written:
        return kernels.written_rows, kernels.written_predictions
    margin = (kernels.margin_rows, kernels.margin_wide, kernels.margin_narrow)
    soft = (kernels.soft_rows,) if pair.cost.name == "cross_entropy" else ()
    return *(margin if pair.closed and pair.closed.margin else ()), *soft, kernels.softmax_rows, kernels.softmax


class _Text:
    """Definitions in the order in which they are needed, each formula once."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.names: dict[Callable, str] = {}

    def whole(self, pair: Pair) -> str:
        """The text of a program: these formulas and the loops that run them."""
        for kernel in loops(pair):
            self.entry(kernel.__name__, kernel)
        return "\n\n\n".join(self.lines) + "\n"

    def entry(self, name: str, function: Callable) -> None:
        known = self.names.get(function)
        if known:
            self.lines.append(f"{name} = {known}")
        else:
            self._define(function, name)

    def _define(self, function: Callable, name: str) -> str:
        if function in self.names:
            return self.names[function]
        self.names[function] = name
        helpers = {}
        for used in function.__code__.co_names:
            value = function.__globals__.get(used)
            if inspect.isfunction(value) and value.__name__ not in VOCABULARY:
                helpers[used] = self._define(value, f"{value.__module__.rsplit('.', 1)[-1]}_{value.__name__}")
            elif type(value) is int:  # a constant of the loops
                helpers[used] = str(value)
            elif callable(value):  # a word, perhaps imported under another name
                helpers[used] = value.__name__ if used not in VOCABULARY and value.__name__ in VOCABULARY else used
        self.lines.append(ast.unparse(_Rewrite(name, helpers).visit(_tree(function))))
        return name


class _Rewrite(ast.NodeTransformer):
    """One function under its new name, calling others by theirs, with its float literals typed by the engine."""

    def __init__(self, name: str, helpers: dict[str, str]) -> None:
        self.name, self.helpers = name, helpers

    def visit_FunctionDef(self, node):
        node.name, node.returns, node.decorator_list = self.name, None, []
        if ast.get_docstring(node):
            node.body = node.body[1:]
        self.generic_visit(node)
        return node

    def visit_arg(self, node):
        node.annotation = None
        return node

    def visit_Name(self, node):
        return ast.copy_location(ast.Name(self.helpers.get(node.id, node.id), node.ctx), node)

    def visit_Constant(self, node):
        if isinstance(node.value, float):
            return ast.copy_location(ast.Call(ast.Name("real", ast.Load()), [node], []), node)
        return node


def syntax(function: Callable) -> ast.FunctionDef:
    """The syntax of a function, as its file has it now."""
    try:
        source = textwrap.dedent(inspect.getsource(function))
        return next(node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef))
    except (OSError, TypeError, SyntaxError, StopIteration) as error:
        raise InvalidValue(
            "formula",
            f"{function.__qualname__}, whose source cannot be read",
            "a function written in a file",
            "Move it into a module: every engine is made from its source.",
        ) from error


def _tree(function: Callable) -> ast.FunctionDef:
    """The syntax of a function, from the file it was imported from."""
    found = syntax(function)
    space: dict = {}
    exec(compile(ast.Module([found], []), "<source>", "exec"), dict(function.__globals__), space)
    now, then = space[found.name].__code__, function.__code__
    if (now.co_code, now.co_consts, now.co_names) != (then.co_code, then.co_consts, then.co_names):
        raise InvalidValue(
            "formula",
            f"{function.__qualname__}, whose file has changed since it was imported",
            "the source of the function that is running",
            "Start Python again.",
        )
    return found
