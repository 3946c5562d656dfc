"""leaky_relu: below zero, a gentle slope."""

from costlayer.pair import REALS, Activation, Interval, Parameter
from costlayer.words import fixed, where


def terms(z, slope):
    gain = where(z > 0.0, 1.0, slope)
    return gain * z, fixed(gain, z), fixed(0.0, z)


def inverse(v, slope):
    return where(v > 0.0, v, v / slope)


LEAKY_RELU = Activation(
    name="leaky_relu",
    summary="Scores below zero are damped by a factor.",
    range=REALS,
    formula="where(z > 0, z, slope*z)",
    gain="where(z > 0, 1, slope)",
    terms=terms,
    inverse=inverse,
    limits="The gain is 1 above zero and `slope` at and below it.",
    reference="Maas, Hannun and Ng (2013), Rectifier nonlinearities improve neural network acoustic models",
    parameters={
        "slope": Parameter(
            0.01, Interval(0.0, 1.0, low_closed=False), "The gain of scores below zero, 0.01 by default."
        )
    },
)
