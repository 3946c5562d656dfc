"""exp+negative_binomial: δ = (v − y)/(1 + dispersion v)."""

from costlayer.pair import ClosedForm
from costlayer.words import absolute, exp, log, log1p_unit, maximum, product, where


def terms(z, y, dispersion):
    x = z + log(dispersion)  # dispersion v = exp(x)
    far = absolute(x) > 80.0
    f = exp(where(far, -0.5, -1.0) * absolute(x))
    g = where(far, f, 1.0)
    e = f * g  # in two steps: it may be subnormal where its product with the weight is not
    s = 1.0 + e
    right = x >= 0.0
    share, rest = where(right, 1.0, e) / s, where(right, e, 1.0) / s  # of dispersion v in 1 + dispersion v
    weight = y + 1.0 / dispersion
    softplus = maximum(x, 0.0) + log1p_unit(e)
    # (y + 1/dispersion) softplus(x) − y z, of which y x is taken out where x is large
    value = where(
        right,
        y * (log(dispersion) + log1p_unit(e)) + softplus / dispersion,
        weight * log1p_unit(e) - product(y, z),
    )
    return value, share / dispersion - y * rest, (weight * f / (s * s)) * g


EXP_NEGATIVE_BINOMIAL = ClosedForm(
    activation="exp",
    cost="negative_binomial",
    formula="(y + 1/dispersion)*ln(1 + dispersion*exp(z)) - y*z",
    derivative="(v - y)/(1 + dispersion*v)",
    terms=terms,
    convex=True,
    steady=True,
    limits="As z → −∞ the value grows as y |z| and δ → −y; as z → ∞ the value grows as z/dispersion and δ → "
    "1/dispersion: large counts do not run away, as they may under poisson.",
)
