"""The formulas as operations of `jax.numpy`, with derivatives that JAX may take as often as it likes.

A formula comes with its first two derivatives by the scores; `smooth` makes of them a function whose derivative of
each order is one, so that nothing is differentiated that was written to keep its digits. From the third order on, the
one before is differentiated, forward and number by number: there nothing is multiplied by an infinity in a branch
that was not taken. What joins the scores of a row is a function of its own, with its derivatives written beside it.

The classes lie along the last axis here. Pairs and their parameters are constants of the program that XLA compiles.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from functools import cache, partial, reduce
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax

from costlayer.engines import reference
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


@cache
def program(pair: Pair) -> SimpleNamespace:
    """The formulas of a pair over arrays."""
    return reference.bind(pair, WORDS)


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
            found = formula(*given)[order]
        else:
            k = order.index(max(order))
            below = smooth(formula, _raised(order, k, -1)).__wrapped__  # type: ignore
            found = jax.jvp(lambda z: below(*given[:k], z, *given[k + 1 :]), given[k : k + 1], (jnp.ones_like(given[k]),))[1]
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
    """Whether a class is the likeliest of its row."""
    return at(jnp.argmax(z, -1), z.shape[-1])


def total(of: Array) -> Array:
    return of.sum(-1, keepdims=True)


def _odds(z: Array, absent: Array) -> tuple[Array, Array]:
    """The largest score of each row, and exp of all others less that; 0 for what is absent."""
    rest = jnp.where(absent, -jnp.inf, z)
    top = rest.max(-1, keepdims=True)
    return top, jnp.where(absent, 0.0, jnp.where(rest == top, 1.0, jnp.exp(rest - top)))


def _difference(a: Array, b: Array) -> Array:
    """a − b, with equals apart by nothing, infinities too."""
    return jnp.where(a == b, 0.0, a - b)


def _beside(z: Array, moved: Array) -> Array:
    """How scores move beside the likeliest of their row: only that matters, and so 1 − p is never a subtraction."""
    return moved - total(jnp.where(best(z), moved, 0.0))


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


def softmax(z: Array) -> Array:
    """The shares of all classes."""
    return _shares(z, jnp.zeros(z.shape, bool))


@jax.custom_jvp
def _margin(z: Array, label: Array) -> Array:
    """How far the other classes are ahead of the true one: logsumexp of their scores less its own."""
    own = at(label, z.shape[-1])
    top, odds = _odds(z, own)
    truth = total(jnp.where(own, z, 0.0))
    return (_difference(top, truth) + jnp.log(total(odds)))[..., 0]


@_margin.defjvp
def _(given, moved):
    own = at(given[1], given[0].shape[-1])
    slopes = jnp.where(own, -1.0, _shares(given[0], own))
    return _margin(*given), (slopes * moved[0]).sum(-1)


@jax.custom_jvp
def _log_shares(z: Array) -> Array:
    """ln p, where 1 − p of the likeliest class is a sum over the others."""
    likeliest = best(z)
    top, odds = _odds(z, jnp.zeros(z.shape, bool))
    return _difference(z, top) - jnp.log1p(total(jnp.where(likeliest, 0.0, odds)))


@_log_shares.defjvp
def _(given, moved):
    u = _beside(given[0], moved[0])
    return _log_shares(*given), u - total(softmax(given[0]) * u)


@jax.custom_jvp
def _odds_against(z: Array) -> Array:
    """Of each class, how far the others are ahead of it: ln((1 − p)/p)."""
    likeliest = best(z)
    top = z.max(-1, keepdims=True)
    second, others = _odds(z, likeliest)
    crowd, ahead = total(others), _difference(top, second)
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
    return d, jnp.where(likeliest, mean, (total(jnp.where(likeliest, q, 0.0)) * mean - u) / q)


def of_label(pair: Pair, z: Array, label: Array) -> Array:
    """The cost of each row (..., K) of scores, where one class (...) is the true one. A label that is no class gives
    NaN."""
    if not (pair.closed and pair.closed.margin):
        right = (label >= 0) & (label < z.shape[-1])
        return of_shares(pair, z, jnp.where(right[..., None], at(label, z.shape[-1]), jnp.nan).astype(z.dtype))
    right = (label >= 0) & (label < z.shape[-1])
    return _by_margin(pair)(jnp.where(right, _margin(z, label), jnp.nan))


def of_shares(pair: Pair, z: Array, y: Array) -> Array:
    """The cost of each row (..., K) of scores under probabilities (..., K)."""
    if pair.name == "softmax+cross_entropy":  # its cost is linear in ln p: no need of 1 − p
        return -jnp.where(y == 0.0, 0.0, y * _log_shares(z)).sum(-1)
    return _by_odds(pair)(_odds_against(z), y).sum(-1)
