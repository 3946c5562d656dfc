"""identity: the score is the prediction."""

from costlayer.pair import REALS, Activation
from costlayer.words import fixed


def terms(z):
    return z, fixed(1.0, z), fixed(0.0, z)


def inverse(v):
    return v


IDENTITY = Activation(
    name="identity",
    summary="The score is the prediction; the gain is 1 everywhere.",
    range=REALS,
    formula="z",
    gain="1",
    terms=terms,
    inverse=inverse,
    limits="The gain is 1 at every score.",
    reference="Nelder and Wedderburn (1972), Generalized linear models: the identity link",
)
