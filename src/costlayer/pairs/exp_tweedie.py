"""exp+tweedie: δ = v^(1 − power) (v − y)."""

from costlayer.pair import ClosedForm
from costlayer.words import exp, product


def terms(z, y, power):
    a, b = 2.0 - power, power - 1.0
    up, down = exp(a * z), product(y, exp(-b * z))
    return up / a + down / b, up - down, a * up + b * down


EXP_TWEEDIE = ClosedForm(
    activation="exp",
    cost="tweedie",
    formula="exp((2 - power)*z)/(2 - power) + y*exp((1 - power)*z)/(power - 1)",
    derivative="v**(1 - power)*(v - y)",
    terms=terms,
    convex=True,
    steady=True,
    limits="Convex: as z → ∞ it grows as exp((2 − power) z), and as z → −∞ as y exp((power − 1) |z|).",
)
