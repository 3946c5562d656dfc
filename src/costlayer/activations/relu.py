"""relu: nothing below zero."""

from costlayer.pair import NON_NEGATIVE, Activation
from costlayer.words import fixed, maximum, where


def terms(z):
    return maximum(z, 0.0), where(z > 0.0, 1.0, fixed(0.0, z)), fixed(0.0, z)


def inverse(v):
    return v


RELU = Activation(
    name="relu",
    summary="Scores below zero predict zero.",
    range=NON_NEGATIVE,
    formula="max(0, z)",
    gain="where(z > 0, 1, 0)",
    terms=terms,
    inverse=inverse,
    flat=(-5.0,),
    instead="exp+poisson for counts, exp+gamma for positive amounts",
    limits="For z ≤ 0 the gain is exactly 0, taken so at z = 0 too: an output that falls there stays there.",
    reference="Nair and Hinton (2010), Rectified linear units improve restricted Boltzmann machines",
)
