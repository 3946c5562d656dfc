"""softplus: positive, and as good as linear where it is large."""

from costlayer.pair import POSITIVE, Activation
from costlayer.words import absolute, exp, expm1, log, log1p, maximum, where


def terms(z):
    e = exp(-absolute(z))
    r = 1.0 / (1.0 + e)
    return maximum(z, 0.0) + log1p(e), where(z >= 0.0, r, e * r), e * r * r


def inverse(v):
    return v + log(-expm1(-v))


SOFTPLUS = Activation(
    name="softplus",
    summary="The score is smoothly bent above zero.",
    range=POSITIVE,
    formula="ln(1 + exp(z))",
    gain="exp(z)/(1 + exp(z))",
    terms=terms,
    inverse=inverse,
    flat=(-5.0,),
    instead="softplus+poisson or exp+poisson for counts, exp+gamma for positive amounts, or identity+{cost}",
    limits="v → 0 as z → −∞, where v and the gain fall as e^z; v → z as z → ∞.",
    reference="Dugas, Bengio, Bélisle, Nadeau and Garcia (2001), Incorporating second-order functional knowledge "
    "for better option pricing",
)
