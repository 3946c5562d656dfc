"""The catalogue: pairs by name."""

import math
import sys
import warnings
from functools import cache

from costlayer.activations import ACTIVATIONS
from costlayer.costs import COSTS
from costlayer.errors import InvalidType, InvalidValue, SaturationWarning, nearest
from costlayer.pair import Cost, Pair
from costlayer.pairs import CLOSED_FORMS

# Behind these activations cross_entropy means the binary one; log_likelihood is the same cost by another name, and kl
# what the Fenchel-Young loss of softmax is called.
ALIASES = {"log_likelihood": "cross_entropy", "softmax+fenchel_young": "softmax+kl"} | {
    f"{activation}+binary_cross_entropy": f"{activation}+cross_entropy"
    for activation in ("sigmoid", "probit", "cloglog", "cauchit")
}


def pair(name: str | Pair, **parameters: float) -> Pair:
    """The pair of an output activation and a cost, by its name `"activation+cost"`.

    Arguments:
        name: such as `"sigmoid+cross_entropy"`; `costlayer.pairs()` lists them. A `Pair` is returned as it is.
        parameters: of the activation and the cost, such as `delta` of huber; each has a default.

    Errors: `InvalidValue` for an unknown name or parameter, for a combination whose ranges do not fit, with the pair to
    use instead, and for a parameter outside its interval. A `SaturationWarning`, once per pair, if it starves.

    >>> pair("identity+huber", delta=2.0)
    pair('identity+huber', delta=2)
    >>> pair("sigmoid+cross_entropy").canonical
    1.0
    """
    if isinstance(name, Pair):
        if parameters:
            return pair(name.name, **{**name.parameters, **parameters})
        return name
    if not isinstance(name, str):
        raise InvalidType(
            "pair",
            f"{name!r} ({type(name).__name__})",
            "a name such as 'sigmoid+cross_entropy'",
            "costlayer.pairs() lists them.",
        )
    found = build(name, parameters)
    if found.starves:
        _warn_once(found)
    return found


def pairs() -> tuple[Pair, ...]:
    """Every pair in the catalogue, with its default parameters. Others can be made by their name.

    >>> "exp+poisson" in map(str, pairs())
    True
    """
    return _catalogue()


def build(name: str, parameters: dict) -> Pair:
    """The pair of that name, without a warning."""
    name = "".join(name.split())
    if name.count("+") != 1:
        known = map(str, _catalogue())
        raise InvalidValue(
            "pair", repr(name), "'activation+cost', such as 'sigmoid+cross_entropy'", nearest(name, known)
        )
    activation, cost = name.split("+")
    if activation not in ACTIVATIONS:
        raise InvalidValue("pair", f"{name!r}", "a known activation before the '+'", nearest(activation, ACTIVATIONS))
    cost = ALIASES.get(cost, cost)
    if cost not in COSTS:
        raise InvalidValue(
            "pair",
            f"{name!r}",
            "a known cost after the '+'",
            nearest(cost, [*COSTS, *(alias for alias in ALIASES if "+" not in alias)]),
        )
    activation, cost = ALIASES.get(f"{activation}+{cost}", f"{activation}+{cost}").split("+")
    return Pair(ACTIVATIONS[activation], _meant(activation, cost), CLOSED_FORMS.get((activation, cost)), parameters)


def _meant(activation: str, name: str) -> Cost:
    """The cost of that name behind the activation."""
    cost = COSTS[name]
    return cost.of_one if cost.of_one and not ACTIVATIONS[activation].row else cost


def read_pair(text: str) -> Pair:
    """The pair of a name with its parameters, as the command line writes it.

    >>> read_pair("identity+huber:delta=2").parameters["delta"]
    2.0
    """
    name, *given = text.split(":")
    parameters: dict[str, float] = {}
    for entry in given:
        key, _, value = entry.partition("=")
        try:
            parameters[key.strip()] = float(value)
        except ValueError:
            raise InvalidValue(
                "pair", repr(entry), "a parameter as name=number", "For example: identity+huber:delta=2."
            ) from None
    return build(name.strip(), parameters)


def write_pair(pair: Pair) -> str:
    """What `read_pair` reads as this pair.

    >>> write_pair(pair("identity+huber", delta=2.0)), write_pair(pair("identity+mse"))
    ('identity+huber:delta=2.0', 'identity+mse')
    """
    return ":".join([pair.name, *(f"{name}={value!r}" for name, value in pair.parameters.items())])


OWN: set[str] = set()  # the names of costs that are not costlayer's


def add(cost: Cost) -> None:
    """Take a cost of the user's into the catalogue, in place of one of his of that name."""
    COSTS[cost.name] = cost
    OWN.add(cost.name)
    _catalogue.cache_clear()


@cache
def _catalogue() -> tuple[Pair, ...]:
    found = []
    for activation in ACTIVATIONS:
        for cost in COSTS:
            behind, before = _meant(activation, cost).listed, ACTIVATIONS[activation].listed
            shown = (not behind or activation in behind) and (not before or cost in before)
            if not shown or f"{activation}+{cost}" in ALIASES:
                continue
            try:
                found.append(build(f"{activation}+{cost}", {}))
            except InvalidValue:
                continue  # the ranges do not fit
    return tuple(found)


_warned: set[str] = set()


def _warn_once(pair: Pair) -> None:
    """Say how little gradient is left at a typical wrong score, once per process."""
    if pair.name in _warned:
        return
    _warned.add(pair.name)
    level, frame = 1, sys._getframe()
    while frame.f_back and frame.f_globals.get("__name__", "").partition(".")[0] == "costlayer":
        level, frame = level + 1, frame.f_back  # to the line outside this package that asked for the pair
    warnings.warn(starvation(pair), SaturationWarning, stacklevel=level)


def starvation(pair: Pair) -> str:
    """Why a pair starves the network, with the figures at a typical wrong score.

    >>> print(starvation(build("sigmoid+mse", {})))  # doctest: +ELLIPSIS
    sigmoid+mse starves the network of gradient: at z = 5 with target 0 the output is wrong by 0.9933, ...
    """
    from costlayer.engines import reference

    z = pair.activation.flat[-1]
    if pair.row:  # two classes: the wrong one ahead by z
        v = 1.0 / (1.0 + math.exp(-z))
        where, target, gain = f"a wrong class ahead by {z:g}", 0.0, v * (1.0 - v)
    else:
        v, gain, _ = reference.activation(pair)(z)
        target = pair.range.low if z > 0 else max(1.0, pair.range.low)
        where = f"z = {z:g} with target {target:g}".replace("-", "−")
    return (
        f"{pair} starves the network of gradient: at {where} the output is wrong by {abs(v - target):.4f}, "
        f"but its gain, the share of the cost's slope that reaches the score, is {gain:.3g}. "
        f"Use {pair.instead}."
    )
