"""The formulas as operations of `jax.numpy`, with derivatives that JAX may take as often as it likes.

A formula comes with its first two derivatives by the scores; `smooth` makes of them a function whose derivative of
each order is one, so that nothing is differentiated that was written to keep its digits. From the third order on, the
one before is differentiated, forward and number by number: there nothing is multiplied by an infinity in a branch
that was not taken. What joins the scores of a row is a function of its own, with its derivatives written beside it.

The classes lie along the last axis here. Pairs and their parameters are constants of the program that XLA compiles.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping
from functools import cache, partial, reduce
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from costlayer.engines import lower, reference
from costlayer.pair import Pair

Order = tuple[int, ...]  # how often by each score


# --------------------------------------------------------------------------------------------------------- words


def _where(condition: Any, a: Any, b: Any) -> Any:
    if isinstance(condition, Array):
        return jnp.where(condition, a, b)
    return a if condition else b  # about parameters alone


def _of_both(name: str, on_arrays: Callable) -> Callable:
    """A word for arrays, and for parameters, which are plain numbers."""
    on_numbers = reference.WORDS[name]
    return lambda x: on_arrays(x) if isinstance(x, Array) else float(on_numbers(x))


def _known(function: Callable, slope: Callable) -> Callable:
    """A word with its derivative, a function of the same number, where JAX's own loses digits or takes the middle of a
    corner: the formulas put two corners together, so that there is none."""
    found = jax.custom_jvp(function)
    found.defjvp(lambda x, moved: (found(*x), slope(*x) * moved[0]))
    return found


def _square_of_sech(x: Array) -> Array:
    e = jnp.exp(-2.0 * jnp.abs(x))
    return 4.0 * e / ((1.0 + e) * (1.0 + e))


@jax.custom_jvp
def _maximum(a: Array, b: Array) -> Array:
    return jnp.maximum(a, b)


@_maximum.defjvp
def _(given, moved):
    return _maximum(*given), jnp.where(given[0] >= given[1], *moved)


def _larger(a: Any, b: Any) -> Any:
    return _maximum(*jnp.broadcast_arrays(*_alike(a, b)))


def _alike(a: Any, b: Any) -> tuple[Array, Array]:
    """Two numbers, of which one may be plain, in the type of the array."""
    dtype = jnp.result_type(a, b)
    return jnp.asarray(a, dtype), jnp.asarray(b, dtype)


WORDS = {
    **reference.WORDS,
    "absolute": _of_both("absolute", _known(jnp.abs, lambda x: jnp.where(x < 0.0, -1.0, 1.0).astype(x.dtype))),
    "double": float,
    "erf": _of_both("erf", jax.scipy.special.erf),
    "exp": _of_both("exp", jnp.exp),
    "expm1": _of_both("expm1", _known(jnp.expm1, jnp.exp)),
    "log": _of_both("log", jnp.log),
    "log1p": _of_both("log1p", jnp.log1p),
    "log1p_unit": _of_both("log1p_unit", jnp.log1p),
    "maximum": _larger,
    "minimum": lambda a, b: -_larger(-a, -b),
    "real": float,
    "sign": _of_both("sign", jnp.sign),
    "sqrt": _of_both("sqrt", jnp.sqrt),
    "tanh": _of_both("tanh", _known(jnp.tanh, _square_of_sech)),
    "where": _where,
}


@jax.custom_jvp
def _quotient(a: Any, b: Any) -> Any:
    return a / b


@_quotient.defjvp
def _(given, moved):
    found = _quotient(*given)  # JAX divides by b², which may be beyond the numbers
    return found, (moved[0] - found * moved[1]) / given[1]


def _over(a: Any, b: Any) -> Any:
    return _quotient(a, b) if isinstance(a, Array) or isinstance(b, Array) else a / b


class _Quotients(ast.NodeTransformer):
    """A program whose quotients are calls of a word."""

    def visit_BinOp(self, node):
        self.generic_visit(node)
        if not isinstance(node.op, ast.Div):
            return node
        return ast.copy_location(ast.Call(ast.Name("quotient", ast.Load()), [node.left, node.right], []), node)


@cache
def program(pair: Pair) -> SimpleNamespace:
    """The formulas of a pair over arrays."""
    tree = _Quotients().visit(ast.parse(lower.program(pair)))
    names = {**WORDS, "quotient": _over}
    exec(compile(ast.fix_missing_locations(tree), f"<{pair}>", "exec"), names)
    return SimpleNamespace(**names)


# --------------------------------------------------------------------------------------------------- derivatives


@cache
def smooth(formula: Callable[..., Mapping[Order, Any]], order: Order = (0,)) -> Callable[..., Array]:
    """A derivative of a formula, number by number, of which JAX may take all further ones.

    Arguments:
        formula: `(*scores, *constants) -> derivatives`, from the value, of order (0,) or (0, 0), to all of order 2.
        order: how often it is differentiated by each score.

    Returns a function of the same arguments. The constants have no derivative.
    """
    count = len(order)

    def plain(*given: Array) -> Array:
        if sum(order) <= 2:
            with np.errstate(over="ignore"):  # a constant beyond the numbers of the type is as good as infinite
                found = formula(*given)[order]
        else:
            k = order.index(max(order))
            below = smooth(formula, _raised(order, k, -1)).__wrapped__  # type: ignore
            found = jax.jvp(
                lambda z: below(*given[:k], z, *given[k + 1 :]), given[k : k + 1], (jnp.ones_like(given[k]),)
            )[1]
        return jnp.broadcast_to(jnp.asarray(found, given[0].dtype), given[0].shape)

    function = jax.custom_jvp(plain)

    @partial(function.defjvp, symbolic_zeros=True)
    def _(given, moved):
        terms = [
            smooth(formula, _raised(order, k, 1))(*given) * moved[k]
            for k in range(count)
            if not isinstance(moved[k], jax.custom_derivatives.SymbolicZero)
        ]
        value = function(*given)
        return value, reduce(operator.add, terms) if terms else jnp.zeros_like(value)

    return function


def _raised(order: Order, k: int, by: int) -> Order:
    return (*order[:k], order[k] + by, *order[k + 1 :])


@cache
def pointwise(pair: Pair) -> Callable[[Array, Array], Array]:
    """`z, y -> value`, element by element."""
    terms = program(pair).terms

    def formula(z, y):
        value, delta, curvature = terms(z, y, *pair.values)
        return {(0,): value, (1,): delta, (2,): curvature}

    return smooth(formula)


@cache
def two_scores(pair: Pair) -> Callable[[Array, Array, Array], Array]:
    """`z_0, z_1, y -> value`."""
    terms = program(pair).terms

    def formula(z_0, z_1, y):
        value, *slopes, first, both, second = terms(z_0, z_1, y, *pair.values)
        return {(0, 0): value, (1, 0): slopes[0], (0, 1): slopes[1], (2, 0): first, (1, 1): both, (0, 2): second}

    return smooth(formula, (0, 0))


@cache
def activated(activation: Callable, values: tuple[float, ...] = ()) -> Callable[[Array], Array]:
    """`z -> v`, of an activation as a program has it."""

    def formula(z):
        v, gain, bend = activation(z, *values)
        return {(0,): v, (1,): gain, (2,): bend}

    return smooth(formula)


@cache
def _by_margin(pair: Pair) -> Callable[[Array], Array]:
    """`d -> value`, where d is how far the other classes are ahead of the true one."""
    margin = program(pair).margin

    def formula(d):
        value, slope, curve = margin(d, jnp.exp(-WORDS["absolute"](d)), *pair.values)
        return {(0,): value, (1,): slope, (2,): curve}

    return smooth(formula)


@cache
def _by_odds(pair: Pair) -> Callable[[Array, Array], Array]:
    """`d, y -> value` of one class of a row, where d is how far the others are ahead of it, so that p = σ(−d)."""
    program_ = program(pair)

    def formula(d, y):
        e = jnp.exp(-WORDS["absolute"](d))
        tail, s, ahead = jnp.log1p(e), 1.0 + e, d > 0.0
        p, q = jnp.where(ahead, e, 1.0) / s, jnp.where(ahead, 1.0, e) / s
        log_p, log_q = -(_larger(d, 0.0) + tail), -(_larger(-d, 0.0) + tail)
        value, slope, curve = program_.row_terms(p, q, log_p, log_q, y, *pair.values)
        return {(0,): value, (1,): -slope, (2,): curve - p * slope}  # d ln p = −q dd, and dq = p q dd

    return smooth(formula)


# ---------------------------------------------------------------------------------------------------------- rows


def at(label: Array, classes: int) -> Array:
    """Whether a class is the one of the label, (..., classes)."""
    return label[..., None] == lax.broadcasted_iota(label.dtype, (*label.shape, classes), label.ndim)


def best(z: Array) -> Array:
    """Whether a class is the likeliest of its row, the first of several; XLA's own argmax takes three times as long."""
    places = lax.broadcasted_iota(jnp.int32, z.shape, z.ndim - 1)
    return at(jnp.where(z == z.max(-1, keepdims=True), places, z.shape[-1]).min(-1), z.shape[-1])


def total(of: Array) -> Array:
    return of.sum(-1, keepdims=True)


def nan(x: Array) -> Array:
    """NaN, made of what is there: XLA's CPU compiler takes exp of a NaN that it knows beforehand for some number."""
    return lax.stop_gradient((x - x) * jnp.inf)


def _odds(z: Array, absent: Array) -> tuple[Array, Array]:
    """The largest score of each row, (...), and exp of all others less that, (..., K); 0 for what is absent.

    What is absent is taken out twice: XLA would write the scores without it to memory, and read them again.
    """
    top = jnp.where(absent, -jnp.inf, z).max(-1)
    return top, jnp.where(absent, 0.0, jnp.exp(_difference(z, top[..., None])))


def _difference(a: Array, b: Array) -> Array:
    """a − b, with equals apart by nothing, infinities too."""
    return jnp.where(a == b, 0.0, a - b)


@jax.custom_jvp
def _shares(z: Array, absent: Array) -> Array:
    """Softmax, of the classes that are not absent."""
    odds = _odds(z, absent)[1]
    return odds / total(odds)


@_shares.defjvp
def _(given, moved):
    (z, absent), p = given, _shares(*given)
    u = _beside(jnp.where(absent, -jnp.inf, z), jnp.where(absent, 0.0, moved[0]))
    return p, p * (u - total(p * u))


def _beside(z: Array, moved: Array) -> Array:
    """How scores move beside the likeliest of their row: only that matters, and so 1 − p is never a subtraction."""
    return moved - total(jnp.where(best(z), moved, 0.0))


def softmax(z: Array) -> Array:
    """The shares of all classes."""
    return _shares(z, jnp.zeros(z.shape, bool))


def _turn(z: Array, moved: Array) -> Array:
    """How the shares of all classes change."""
    return jax.jvp(softmax, (z,), (moved,))[1]


# Costs by the margin of the true class, whose label is a class or gives NaN


def _is_class(z: Array, label: Array) -> Array:
    return (label >= 0) & (label < z.shape[-1])


def _ahead(top: Array, z: Array, label: Array) -> Array:
    """How far the largest of the other scores is ahead of the true one's."""
    truth = jnp.take_along_axis(z, label[..., None], -1, mode="clip")[..., 0]
    return jnp.where(_is_class(z, label), _difference(top, truth), nan(top))


@jax.custom_jvp
def _margin(z: Array, label: Array) -> Array:
    """How far the other classes are ahead of the true one: logsumexp of their scores less its own."""
    top, odds = _odds(z, at(label, z.shape[-1]))
    return _ahead(top, z, label) + jnp.log(odds.sum(-1))


@_margin.defjvp
def _(given, moved):
    own = at(given[1], given[0].shape[-1])
    slopes = jnp.where(own, -1.0, _shares(given[0], own))
    return _margin(*given), (slopes * moved[0]).sum(-1)


def _log_loss_of_label(z: Array, label: Array) -> tuple[Array, Array]:
    """softplus of the margin, and its derivatives by the scores, in which no logarithm of a sum is taken back.

    XLA takes half as long again to find the largest of the other scores as that of all: so all are measured by that.
    """
    top, own = z.max(-1), at(label, z.shape[-1])
    odds = jnp.where(own, 0.0, jnp.exp(_difference(z, top[..., None])))
    ahead, rest = _ahead(top, z, label), odds.sum(-1)
    beside = jnp.where(ahead == 0.0, rest, (rest - 1.0) + jnp.exp(-ahead))
    share = 1.0 / (1.0 + beside)
    return ahead + jnp.log1p(beside), jnp.where(own, -rest[..., None], odds) * share[..., None]


def _log_loss_of_shares(z: Array, y: Array) -> tuple[Array, Array]:
    """−Σ y ln p, and its derivatives by the scores: of the likeliest class with 1 − p as the sum over the others."""
    first, below = best(z), _difference(z, z.max(-1)[..., None])
    odds = jnp.where(first, 0.0, jnp.exp(below))
    rest, whole = odds.sum(-1), y.sum(-1)
    share = 1.0 / (1.0 + rest)
    value = jnp.where(y == 0.0, 0.0, -y * below).sum(-1) + whole * jnp.log1p(rest)
    whole, share, rest = whole[..., None], share[..., None], rest[..., None]
    return value, jnp.where(first, share * ((whole - y) - rest * y), odds * (share * whole) - y)


def _log_loss(both: Callable[[Array, Array], tuple[Array, Array]], whole: Callable[[Array], Array | float]) -> Callable:
    """A cost of rows with its derivative by each score, p Σy − y, of which those of the shares are all that is left to
    take."""

    @jax.custom_jvp
    def value(z: Array, y: Array) -> Array:
        return both(z, y)[0]

    @jax.custom_jvp
    def delta(z: Array, y: Array) -> Array:
        return both(z, y)[1]

    value.defjvp(lambda given, moved: (value(*given), (delta(*given) * moved[0]).sum(-1)))
    delta.defjvp(lambda given, moved: (delta(*given), _turn(given[0], moved[0]) * whole(given[1])))
    return value


_cross_entropy_of_label = _log_loss(_log_loss_of_label, lambda label: 1.0)
_cross_entropy_of_shares = _log_loss(_log_loss_of_shares, total)


# Costs that see every share


@jax.custom_jvp
def _odds_against(z: Array) -> Array:
    """Of each class, how far the others are ahead of it: ln((1 − p)/p)."""
    likeliest, top = best(z), z.max(-1, keepdims=True)
    second, others = _odds(z, likeliest)
    crowd, ahead = total(others), _difference(top, second[..., None])
    rest = jnp.exp(-ahead) * crowd  # (1 − p)/p of the likeliest
    p = others * jnp.exp(-ahead) / (1.0 + rest)
    return jnp.where(likeliest, jnp.log(crowd) - ahead, jnp.log1p(rest) - _difference(z, top) + jnp.log1p(-p))


@_odds_against.defjvp
def _(given, moved):
    (z,) = given
    likeliest, d = best(z), _odds_against(z)
    u = _beside(z, moved[0])
    mean = total(_shares(z, likeliest) * u)  # over the others
    q = jax.nn.sigmoid(d)
    least, q = total(jnp.where(likeliest, q, 0.0)), jnp.where(likeliest, 1.0, q)  # reverse mode divides by both
    return d, jnp.where(likeliest, mean, (least * mean - u) / q)


def of_label(pair: Pair, z: Array, label: Array) -> Array:
    """The cost of each row (..., K) of scores, where one class (...) is the true one. A label that is no class gives
    NaN."""
    if _is_log_loss(pair):
        return _cross_entropy_of_label(z, label)
    if pair.closed and pair.closed.margin:
        return _by_margin(pair)(_margin(z, label))
    shares = at(label, z.shape[-1]).astype(z.dtype)
    return of_shares(pair, z, jnp.where(_is_class(z, label)[..., None], shares, nan(shares)))


def of_shares(pair: Pair, z: Array, y: Array) -> Array:
    """The cost of each row (..., K) of scores under probabilities (..., K)."""
    if _is_log_loss(pair):
        return _cross_entropy_of_shares(z, y)
    return _by_odds(pair)(_odds_against(z), y).sum(-1)


def _is_log_loss(pair: Pair) -> bool:
    return pair.name == "softmax+cross_entropy"
