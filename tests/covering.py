"""The pairs that tests run over."""

import pytest

import costlayer as cl


def covering():
    """Pairs that have every formula among them: all closed forms, every cost where it is listed first, and every
    activation before the squared error. What else the catalogue lists is composed of the same parts by the same rule.
    """
    seen = set()
    for pair in (pair for pair in cl.pairs() if not pair.two):
        if pair.closed or pair.cost.name not in seen or pair.cost.name == "mse":
            yield pair
        seen.add(pair.cost.name)


PAIRS = tuple(covering())

# Of two scores per target: every cost, and every activation, behind which a location and shapes are composed alike.
TWO_SCORES = tuple(pair for pair in cl.pairs() if pair.two)
TWO_COVERING = tuple(
    pair
    for pair in TWO_SCORES
    if pair.activation.name in pair.cost.natural or pair.name == "identity_softplus+gaussian"
)


def any_two(first, second, third):
    """Triples that have every two values of any two lists together, where the last is no longer than the others: what
    goes wrong with a value does so with that alone or with one other, and all triples are many times as many.
    """
    return [(a, b, third[(i + j) % len(third)]) for i, a in enumerate(first) for j, b in enumerate(second)]


every_pair = pytest.mark.parametrize("pair", [*PAIRS, *TWO_COVERING], ids=str)


def targets(pair, u):
    """Targets of a pair that has no rows, of shares u in [0, 1)."""
    return {
        "{−1, 1}": 2 * (u > 0.5) - 1,
        "[0, 1]": u.where(u >= 0.6, (u >= 0.3).to(u.dtype)),
        "[0, ∞)": (5 * u).floor(),
        "(0, ∞)": 3 * u + 0.1,
        "(0, 1)": 0.9 * u + 0.05,
        "(−∞, ∞)": 4 * u - 2,
    }[str(pair.target)].to(u.dtype)
