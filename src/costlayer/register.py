"""Costs of one's own: checked when they are registered, and then as good as those of the catalogue."""

from __future__ import annotations

import ast
import inspect
import itertools
import keyword
import math
from collections.abc import Callable, Iterator, Mapping
from types import FunctionType

import numpy as np

from costlayer import catalogue, formula, words
from costlayer.activations import ACTIVATIONS
from costlayer.costs import COSTS
from costlayer.engines import lower, reference
from costlayer.errors import CostLayerError, InvalidType, InvalidValue, nearest
from costlayer.pair import Cost, Interval, Pair, Parameter

_WORDS = {name: getattr(words, name) for name in words.__all__ if name != "double"}
_INSTEAD = {
    "abs": "absolute",
    "fabs": "absolute",
    "max": "maximum",
    "min": "minimum",
    "ln": "log",
    "copysign": "sign",
    "fmax": "maximum",
    "fmin": "minimum",
    "pow": "u * u, or exp(a * log(u))",
    "sqrt": "exp(0.5 * log(u))",
    "log2": "log(u) / log(2.0)",
    "log10": "log(u) / log(10.0)",
    "square": "u * u",
}
_TERMS = "(v, y, *parameters) -> value, slope, curve"
# Odd numbers, so that no kink of a cost is likely to lie at one of them.
_INSIDE = (0.0313, 0.1709, 0.4127, 0.5931, 0.8311, 0.9673)
_BESIDE = (0.0713, 0.3719, 0.9137, 1.6391, 3.7193, 9.1331)
_EITHER = (0.1319, 0.5717, 1.3171, 2.9137, 6.1319)

# What people pass to a layer or a front beside the parameters of a pair.
_TAKEN = {
    *(
        "pair",
        "weight",
        "classes",
        "reduction",
        "class_weight",
        "ignore_index",
        "label_smoothing",
        "pos_weight",
        "empty",
    ),
    *("temperature", "softcap", "logit_adjustment", "z_loss"),
}


def register(cost: Cost) -> Cost:
    """Take a cost of your own into the catalogue: `costlayer.pair("identity+mycost")` and all else then know it.

    Arguments:
        cost: what a file of `costlayer.costs` holds; `costlayer.Cost` says what each part is. `terms` is a plain
            function over the words of `costlayer.words` and `+ - * /`, written in a file: every engine is made from its
            source.

    Returns the cost. Registering it again is no error, and a cell or module that is run again replaces its own. What is
    checked: the name, the vocabulary, the parameters, that no number is lost inside the domain, that slope and curve
    are the derivatives, that `formula` and `derivative` say the same, and the claims `convex`, `steady` and
    `elicits_mean`. Each process registers for itself: do it where the function is, so that whoever imports that
    registers too.

    Errors: `InvalidValue` or `InvalidType`, with the line of the function that is at fault.

    >>> from costlayer import Cost, Interval, pair, value
    >>> from costlayer.words import absolute, log1p, sign
    >>> def terms(error, y):
    ...     size = absolute(error)
    ...     rest = 1.0 / (1.0 + size)
    ...     return size - log1p(size), size * rest * sign(error), rest * rest
    >>> FAIR = register(
    ...     Cost(
    ...         name="fair",
    ...         summary="Squared error near the target, absolute error far from it, with no corner between.",
    ...         domain=Interval(-float("inf"), float("inf")),
    ...         target=Interval(-float("inf"), float("inf")),
    ...         formula="abs(v - y) - ln(1 + abs(v - y))",
    ...         derivative="(v - y)/(1 + abs(v - y))",
    ...         terms=terms,
    ...         of_error=True,
    ...         natural="identity+fair",
    ...         limits="The slope tends to 1.",
    ...         reference="Fair (1974), On the robust estimation of econometric models",
    ...     )
    ... )
    >>> pair("identity+fair")
    pair('identity+fair')
    >>> round(float(value("identity+fair", [3.0], [0.0])), 4)  # 3 - ln 4
    1.6137
    """
    if not isinstance(cost, Cost):
        raise InvalidType("cost", f"{cost!r} ({type(cost).__name__})", "a costlayer.Cost")
    if cost.terms is None:
        what = "a cost without terms, as those of a whole row are"
        raise InvalidValue(
            "cost", what, "the terms of one prediction or of two", "Others are files of costlayer itself."
        )
    known = COSTS.get(cost.name) if isinstance(cost.name, str) else None
    if known == cost:
        return cost
    _check_name(cost, known)
    check(cost)
    catalogue.add(cost)
    return cost


def check(cost: Cost) -> None:
    """Refuse a cost that is not what it says it is; `register` says what is looked at."""
    _check_words(cost)
    _check_terms(cost)
    function, numbers = reference.bind(_some_pair(cost)).cost, _TwoNumbers if cost.second_domain else _Numbers
    for given in _settings(cost):
        numbers(cost, function, given).check()


def _check_name(cost: Cost, known: Cost | None) -> None:
    name = cost.name
    if not isinstance(name, str) or not name.isidentifier() or keyword.iskeyword(name):
        raise InvalidValue("name", repr(name), "a name of letters, digits and underscores, such as 'quartic'")
    taken = name in ACTIVATIONS or any(name in (old, old.partition("+")[2]) for old in catalogue.ALIASES)
    if taken or (known is not None and not (name in catalogue.OWN and _place(known) == _place(cost))):
        raise InvalidValue("name", repr(name), "a name that is not taken", "Choose another.")


def _place(cost: Cost) -> tuple[str, str]:
    return getattr(cost.terms, "__module__", ""), getattr(cost.terms, "__qualname__", "")


def _check_words(cost: Cost) -> None:
    """What people read, and what is no function."""
    for name in ("summary", "formula", "derivative", "natural", "limits", "reference"):
        given = getattr(cost, name)
        if not isinstance(given, str) or not given:
            raise InvalidType(name, repr(given), "a text", "People read it in `costlayer explain` and in errors.")
    for name in ("domain", "target", *(("second_domain",) if cost.second_domain else ())):
        if not isinstance(getattr(cost, name), Interval):
            raise InvalidType(name, repr(getattr(cost, name)), "a costlayer.Interval")
    for name in cost.listed:
        if name not in ACTIVATIONS:
            raise InvalidValue("listed", repr(name), "names of activations", nearest(name, ACTIVATIONS))
    of_activations = {name for activation in ACTIVATIONS.values() for name in activation.parameters}
    for name, parameter in cost.parameters.items():
        if not isinstance(parameter, Parameter):
            raise InvalidType("parameters", f"{parameter!r} for {name!r}", "a costlayer.pair.Parameter")
        if not name.isidentifier() or name in {"v", "y", "z", "pi", *cost.symbols, *of_activations, *_TAKEN}:
            fix = "v, y, z, pi, the parameters of activations and the options of CostLayer are taken."
            raise InvalidValue("parameters", repr(name), "a name of its own", fix)
    predictions = cost.symbols if cost.second_domain else ("v",)
    for name in ("formula", "derivative", *(("second_derivative",) if cost.second_domain else ())):
        source = getattr(cost, name)
        try:
            for drawn in (formula.text, formula.latex):
                drawn(source)
        except (ValueError, SyntaxError, KeyError) as error:
            raise InvalidValue(name, repr(source), "the notation of costlayer.formula", str(error)) from error
        used = {node.id for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Name)}
        for unknown in sorted(used - {*predictions, "y", "pi", *cost.parameters, *formula.FUNCTIONS}):
            raise InvalidValue(
                name,
                f"{unknown!r} in {source!r}",
                f"{', '.join(predictions)}, y, the parameters and functions of formulas",
            )


# ------------------------------------------------------------------------------------------ the vocabulary


def _check_terms(cost: Cost) -> None:
    """The source of `terms`, and of the functions it calls."""
    terms = cost.terms
    if not isinstance(terms, FunctionType) or terms.__name__ == "<lambda>":
        raise InvalidType("terms", f"{terms!r} ({type(terms).__name__})", f"a plain function {_TERMS}")
    _Source(terms).check({})
    arguments = inspect.signature(terms).parameters
    first = ["error" if cost.of_error else "v", "y"]
    if cost.second_domain:
        first = ["error", "s", "log_s", "f", "g"] if cost.of_error else ["a", "log_a", "b", "log_b", "y"]
    if len(arguments) != len(first) + len(cost.parameters) or [*arguments][len(first) :] != [*cost.parameters]:
        names = ", ".join([*first, *cost.parameters])
        got = f"{terms.__name__}({', '.join(arguments)}) {_Source(terms).at()}"
        raise InvalidValue("terms", got, f"{terms.__name__}({names})", "The parameters come in their order, by name.")


class _Source:
    """A function of the scalar language, and where it stands."""

    def __init__(self, function: FunctionType) -> None:
        self.function, self.tree = function, lower.syntax(function)
        self.file = inspect.getsourcefile(function) or function.__code__.co_filename
        self.first = inspect.getsourcelines(function)[1]

    def at(self, node: ast.AST | None = None) -> str:
        """Where a part of the function stands, as Python's own errors say it."""
        return f'at File "{self.file}", line {self.first + (getattr(node, "lineno", self.tree.lineno)) - 1}'

    def refuse(self, node: ast.AST, expected: str, fix: str = "") -> InvalidValue:
        shown = ast.unparse(node).splitlines()[0]
        return InvalidValue("terms", f"`{shown}` {self.at(node)}", expected, fix)

    def check(self, seen: dict[FunctionType, bool]) -> None:
        """Refuse what is outside the scalar language, here and in the functions that are called."""
        seen[self.function] = False  # not read to the end
        arguments, body = self.tree.args, self.tree.body
        if self.function.__closure__:
            raise self.refuse(self.tree, "a function that stands by itself", "Define it at the top of a module.")
        if arguments.vararg or arguments.kwarg or arguments.kwonlyargs or arguments.defaults:
            raise self.refuse(self.tree, "plain arguments, without defaults")
        self.known = {each.arg for each in arguments.posonlyargs + arguments.args}
        if isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant):
            body = body[1:]  # the docstring
        for statement in body:
            match statement:
                case ast.Assign([ast.Name() | ast.Tuple() as names], value):
                    parts = names.elts if isinstance(names, ast.Tuple) else [names]
                    given = value.elts if isinstance(value, ast.Tuple) and isinstance(names, ast.Tuple) else [value]
                    for each in given:
                        self.expression(each, seen)
                    self.known |= {part.id for part in parts if isinstance(part, ast.Name)}
                case ast.Return(ast.Tuple(parts)) if statement is body[-1]:
                    for part in parts:
                        self.expression(part, seen)
                case ast.Return(ast.expr() as value) if statement is body[-1]:
                    self.expression(value, seen)
                case ast.If() | ast.For() | ast.While():
                    raise self.refuse(statement, "straight lines", "Choose with where(condition, a, b).")
                case _:
                    raise self.refuse(statement, "assignments `name = ...`, and a `return` at the end")
        seen[self.function] = True

    def expression(self, node: ast.expr, seen: dict[FunctionType, bool]) -> None:
        match node:
            case ast.Constant(float()):
                return
            case ast.Constant(int() as value) if not isinstance(value, bool):
                raise self.refuse(node, "numbers with a point, which take the type of the scores", f"Write {value}.0.")
            case ast.Name(name):
                if name not in self.known:
                    fix = "Write the number out, or make it a parameter of the cost."
                    raise self.refuse(node, "arguments and names assigned before", fix)
            case ast.UnaryOp(ast.USub() | ast.UAdd(), operand):
                self.expression(operand, seen)
            case ast.BinOp(left, ast.Add() | ast.Sub() | ast.Mult() | ast.Div(), right):
                self.expression(left, seen)
                self.expression(right, seen)
            case ast.BinOp(_, ast.Pow(), _):
                raise self.refuse(node, "+ - * /", "For a power write u * u, or exp(a * log(u)).")
            case ast.Compare(left, [_], [right]) if not isinstance(node.ops[0], (ast.In, ast.NotIn, ast.Is, ast.IsNot)):
                self.expression(left, seen)
                self.expression(right, seen)
            case ast.IfExp() | ast.BoolOp() | ast.Compare() | ast.UnaryOp(ast.Not()):
                raise self.refuse(node, "one comparison at a time", "Choose with where(condition, a, b), and nest it.")
            case ast.Call(ast.Name(name), arguments, []) if not any(
                isinstance(each, ast.Starred) for each in arguments
            ):
                self.called(node, name, seen)
                for each in arguments:
                    self.expression(each, seen)
            case ast.Call(ast.Attribute(_, name)) | ast.Attribute(_, name):
                raise self.refuse(node, "words by their names", _word(name))
            case _:
                raise self.refuse(node, f"+ - * /, comparisons and the words {', '.join(_WORDS)}")

    def called(self, node: ast.expr, name: str, seen: dict[FunctionType, bool]) -> None:
        """A word, or another function in the scalar language."""
        value = self.function.__globals__.get(name)
        if name in self.known or not any(value is word for word in _WORDS.values()):
            if not isinstance(value, FunctionType) or name in self.known:
                raise self.refuse(node, "words of costlayer.words, and functions made of them", _word(name))
            if seen.get(value) is False:
                raise self.refuse(node, "functions that do not come back to themselves")
            if value not in seen:
                _Source(value).check(seen)

    def returned(self, index: int, of: int = 3) -> str:
        """The text of one of the things that are returned, and where."""
        last = self.tree.body[-1]
        node = last.value if isinstance(last, ast.Return) and last.value is not None else last
        if isinstance(node, ast.Tuple) and len(node.elts) == of:
            node = node.elts[index]
        return f"`{ast.unparse(node)}` {self.at(node)}"


def _word(name: str) -> str:
    if name in _WORDS:
        return f"from costlayer.words import {name}"
    if name in _INSTEAD:
        instead = _INSTEAD[name]
        return f"from costlayer.words import {instead}" if instead in _WORDS else f"Write {instead}."
    return nearest(name, _WORDS)


# ---------------------------------------------------------------------------------------------- the numbers


def _some_pair(cost: Cost) -> Pair:
    """A pair that the cost is part of: any activation does, as none is asked of it."""
    reasons: list[CostLayerError] = []
    for activation in ACTIVATIONS.values():
        try:
            return Pair(activation, cost)
        except CostLayerError as error:
            reasons.append(error)
    if any(reason.argument in cost.parameters for reason in reasons):
        raise next(reason for reason in reasons if reason.argument in cost.parameters)
    raise InvalidValue(
        "domain, target",
        f"{cost.domain}, {cost.target}",
        "such as some activation's values lie in and can reach",
        "They lie in " + ", ".join(f"{a.range} ({a})" for a in ACTIVATIONS.values() if isinstance(a.range, Interval)),
    )


def _settings(cost: Cost) -> Iterator[dict[str, float]]:
    """The parameters at their defaults, and all of them elsewhere."""
    usual = {name: float(parameter.default) for name, parameter in cost.parameters.items()}
    yield usual
    if usual:
        yield {name: _other(parameter) for name, parameter in cost.parameters.items()}


def _other(parameter: Parameter) -> float:
    """A value that a parameter may have, and not its default."""
    low, high, usual = parameter.domain.low, parameter.domain.high, float(parameter.default)
    tried = usual * 0.7319, usual * 1.3719, usual + 0.7319, low + 0.4127 * (high - low)
    return next((value for value in tried if value in parameter.domain and value != usual), usual)


def _inside(interval: Interval) -> list[float]:
    """Numbers between the ends."""
    low, high = interval.low, interval.high
    if interval.ends_only:
        return [low, high]
    if math.isfinite(low) and math.isfinite(high):
        return [low + (high - low) * share for share in _INSIDE]
    if math.isfinite(low):
        return [low + step for step in _BESIDE]
    if math.isfinite(high):
        return [high - step for step in reversed(_BESIDE)]
    return [-step for step in reversed(_EITHER)] + [*_EITHER]


def _ends(interval: Interval) -> list[float]:
    return [end for end in (interval.low, interval.high) if end in interval]


class _Numbers:
    """A cost with its parameters, at numbers."""

    def __init__(self, cost: Cost, function: Callable, given: Mapping[str, float]) -> None:
        self.cost, self.function, self.given = cost, function, given
        self.source = _Source(cost.terms)  # type: ignore — a plain function by now
        # apart from the targets by more than any step of a difference
        self.predictions = [v * 1.0371 for v in _inside(cost.domain) if v * 1.0371 in cost.domain]
        self.targets = sorted({*_inside(cost.target), *_ends(cost.target)})

    def terms(self, v: float, y: float) -> tuple[float, float, float]:
        try:
            with np.errstate(all="ignore"):
                found = self.function(np.float64(v), np.float64(y), *map(np.float64, self.given.values()))
                value, slope, curve = (float(term) for term in found)
        except (TypeError, ValueError, NameError) as error:
            raise InvalidValue("terms", f"{self.source.returned(0)}, {error}", "three numbers", _TERMS) from error
        return value, slope, curve

    def check(self) -> None:
        for y in self.targets:
            for v in self.predictions:
                self._check_finite(v, y)
            for v in _ends(self.cost.domain):
                if math.isnan(self.terms(v, y)[0]):
                    raise self._refuse(0, "nan", v, y, "a number or infinity at the ends of the domain, which belong")
            for v in self.predictions:
                self._check_derivatives(v, y)
                self._check_formulas(v, y)
            if not self.cost.rows_only or y in (0.0, 1.0):  # of a class that is true, or not
                self._check_claims(y)
        if self.cost.elicits_mean:
            self._check_mean()

    def _check_finite(self, v: float, y: float) -> None:
        for index, term in enumerate(self.terms(v, y)):
            if not math.isfinite(term):
                raise self._refuse(index, f"{term}", v, y, "finite numbers inside the domain")

    def _check_derivatives(self, v: float, y: float) -> None:
        """Each of slope and curve against differences of what comes before it; a kink nearby is left room for."""
        room = min([1.0, *(abs(v - end) for end in (self.cost.domain.low, self.cost.domain.high))])
        for index in (1, 2):
            here = self.terms(v, y)[index]
            right = _derivative(lambda x, index=index: self.terms(x, y)[index - 1], v, room / 64, here)
            if right is not None:
                what = ("", "the derivative of the value", "the derivative of the slope")[index]
                raise self._refuse(index, f"{here:.6g}", v, y, f"{what}, which is {right:.6g} there")

    def _check_formulas(self, v: float, y: float) -> None:
        for index, name in enumerate(("formula", "derivative")):
            source, here = getattr(self.cost, name), self.terms(v, y)[index]
            with np.errstate(all="ignore"):
                said = float(formula.evaluate(source, v=v, y=y, pi=math.pi, **self.given))
            if not abs(said - here) <= 1e-8 * (abs(said) + abs(here)) + 1e-12:
                got = f"{source!r}, which is {said:.6g} {self._where(v, y)}"
                raise InvalidValue(name, got, f"what terms gives, {here:.6g} by {self.source.returned(index)}")

    def _check_claims(self, y: float) -> None:
        slopes = [(v, self.terms(v, y)[1]) for v in self.predictions]
        for (v, left), (w, right) in itertools.pairwise(slopes):
            hair = 1e-9 * (abs(left) + abs(right))
            if self.cost.convex and right < left - hair:
                got = f"True, where the slope falls from {left:.6g} at v = {v:g} to {right:.6g} at v = {w:g}, y = {y:g}"
                raise InvalidValue("convex", got, "a cost that bends up everywhere", "Say convex=False.")
            below = y > 0 if self.cost.target.ends_only else w <= y  # of two ends, the other one is the wrong side
            above = y < 0 if self.cost.target.ends_only else v >= y
            shrinks = (above and abs(right) < abs(left) - hair) or (below and abs(left) < abs(right) - hair)
            if self.cost.steady and shrinks:
                got = (
                    f"True, where |slope| is {abs(left):.6g} at v = {v:g} and {abs(right):.6g} at v = {w:g}, y = {y:g}"
                )
                raise InvalidValue("steady", got, "a slope that grows with the error", "Say steady=False.")

    def _check_mean(self) -> None:
        """At the mean of targets their slopes add up to nothing; behind softmax alone, to the same for every class."""
        usual = [y for y in self.targets if abs(y) < 5.0]
        sums = []
        for a, b in itertools.pairwise(usual):
            some = (a, a, b)
            mean = sum(some) / len(some)
            if mean not in self.cost.domain:
                continue
            slopes = [self.terms(mean, y)[1] for y in some]
            sums.append((sum(slopes) / len(slopes), max(map(abs, slopes)), some, mean))
        base = sums[0][0] if self.cost.rows_only and sums else 0.0
        for total, size, some, mean in sums:
            if abs(total - base) > 1e-9 * (size + abs(base)):
                got = f"True, where the slopes at the mean {mean:.6g} of the targets {some} add up to {total:.6g}"
                raise InvalidValue("elicits_mean", got, "a cost least at the mean", "Say elicits_mean=False.")

    def _where(self, v: float, y: float) -> str:
        given = "".join(f", {name} = {value:g}" for name, value in self.given.items())
        return f"at v = {v:g}, y = {y:g}{given}"

    def _refuse(self, index: int, got: str, v: float, y: float, expected: str) -> InvalidValue:
        return InvalidValue("terms", f"{got} {self._where(v, y)} from {self.source.returned(index)}", expected)


def _derivative(function: Callable[[float], float], x: float, h: float, said: float) -> float | None:
    """None if the derivative at x is what was said of it, else what differences of two widths find. What they differ by
    is left room for: there may be a kink nearby."""
    wide, narrow = ((function(x + step) - function(x - step)) / (2 * step) for step in (h, h / 2))
    better = (4 * narrow - wide) / 3
    rounding = 1e-12 * max(abs(function(near)) for near in (x - h, x, x + h)) / h
    good = abs(said - better) <= 1e-6 * abs(said) + 4 * abs(better - wide) + rounding
    return None if good else better


class _TwoNumbers:
    """A cost of two predictions with its parameters, at numbers: the second by its logarithm, and the first too unless
    it is one of the error."""

    def __init__(self, cost: Cost, function: Callable, given: Mapping[str, float]) -> None:
        self.cost, self.function, self.given = cost, function, given
        self.source = _Source(cost.terms)  # type: ignore — a plain function by now

    def terms(self, x: float, log_s: float, y: float) -> tuple[float, ...]:
        s = math.exp(log_s)
        first = (x - y, s, log_s, s, 1.0) if self.cost.of_error else (math.exp(x), x, s, log_s, y)
        try:
            with np.errstate(all="ignore"):
                found = tuple(map(float, self.function(*map(np.float64, (*first, *self.given.values())))))
        except (TypeError, ValueError, NameError) as error:
            raise InvalidValue("terms", f"{self.source.returned(0, 6)}, {error}", "six numbers") from error
        if len(found) != 6:
            raise InvalidValue("terms", f"{self.source.returned(0, 6)}, {len(found)} numbers", "six numbers")
        return found

    def check(self) -> None:
        for y in _inside(self.cost.target)[::2]:
            for v in _inside(self.cost.domain)[::2]:
                for log_s in (-0.9137, 0.1319, 0.7193):
                    self._check_at(v * 1.0371 if self.cost.of_error else math.log(v), log_s, y)

    def _check_at(self, x: float, log_s: float, y: float) -> None:
        here = self.terms(x, log_s, y)
        v, s = x if self.cost.of_error else math.exp(x), math.exp(log_s)
        given = {**dict(zip(self.cost.symbols, (v, s), strict=True)), "y": y, **self.given}
        where = "at " + ", ".join(f"{name} = {value:g}" for name, value in given.items())
        for index, term in enumerate(here):
            found = None
            if index:
                before, by = ((0, 0), (0, 1), (1, 0), (1, 1), (2, 1))[index - 1]  # what is differentiated, and by which
                along = (lambda u, k=before: self.terms(u, log_s, y)[k], lambda u, k=before: self.terms(x, u, y)[k])[by]
                found = _derivative(along, (x, log_s)[by], 1 / 64, term)
            if found is not None or not math.isfinite(term):
                expected = "a finite number" if found is None else f"the derivative, which is {found:.6g} there"
                raise InvalidValue("terms", f"{term:.6g} {where} from {self.source.returned(index, 6)}", expected)
        right = here[0], here[1] / (1.0 if self.cost.of_error else v), here[2] / s
        for name, term in zip(("formula", "derivative", "second_derivative"), right, strict=True):
            source = getattr(self.cost, name)
            said = float(formula.evaluate(source, pi=math.pi, **given))
            if not abs(said - term) <= 1e-8 * (abs(said) + abs(term)) + 1e-12:
                raise InvalidValue(name, f"{source!r}, which is {said:.6g} {where}", f"what terms gives, {term:.6g}")
