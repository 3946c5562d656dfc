"""epsilon_insensitive: the absolute error beyond a margin within which nothing is charged."""

from costlayer.pair import NON_NEGATIVE, REALS, Cost, Parameter
from costlayer.words import absolute, fixed, maximum, sign, where


def terms(error, y, epsilon):
    beyond = absolute(error) - epsilon
    slope = where(beyond > 0.0, sign(error), fixed(0.0, error))
    return maximum(beyond, 0.0), slope, fixed(0.0, error)


EPSILON_INSENSITIVE = Cost(
    name="epsilon_insensitive",
    summary="The absolute error less `epsilon`: errors up to that cost nothing.",
    domain=REALS,
    target=REALS,
    formula="max(0, abs(v - y) - epsilon)",
    derivative="where(abs(v - y) > epsilon, sign(v - y), 0)",
    terms=terms,
    of_error=True,
    natural="identity+epsilon_insensitive",
    listed=("identity",),
    limits="The slope is ±1 beyond the margin and 0 within it.",
    reference="Drucker et al. (1997), Support vector regression machines",
    parameters={"epsilon": Parameter(0.1, NON_NEGATIVE, "The error up to which nothing is charged, 0.1 by default.")},
)
