"""cauchit: a probability from one score, by the Cauchy distribution."""

from costlayer.distributions import cauchy, pi
from costlayer.pair import Activation, Interval
from costlayer.words import absolute, minimum, where


def terms(z):
    tail, gain, _, curl = cauchy(absolute(z))
    bend = gain * curl
    return where(z >= 0.0, 1.0 - tail, tail), gain, where(z >= 0.0, -bend, bend)


def inverse(v):
    """tan π(v − ½), by Lambert's continued fraction: of the angle from the middle, or the cotangent from an end."""
    middle = absolute(v - 0.5) < 0.25
    x = pi() * where(middle, absolute(v - 0.5), minimum(v, 1.0 - v))
    s = x * x
    r = s / (3.0 - s / (5.0 - s / (7.0 - s / (9.0 - s / (11.0 - s / (13.0 - s / (15.0 - s / (17.0 - s / 19.0))))))))
    t = where(middle, x / (1.0 - r), (1.0 - r) / x)
    return where(v < 0.5, -t, t)


CAUCHIT = Activation(
    name="cauchit",
    summary="A probability that nears 0 and 1 so slowly that a score which is far off may well be wrong.",
    range=Interval(0.0, 1.0, low_closed=False, high_closed=False),
    formula="1/2 + arctan(z)/pi",
    gain="1/(pi*(1 + z**2))",
    terms=terms,
    inverse=inverse,
    listed=("cross_entropy",),
    limits="v → 0 and v → 1 as 1/(π|z|) as z → ∓∞, where the gain falls as 1/(π z²).",
    reference="Koenker and Yoon (2009), Parametric links for binary choice models: a Fisherian-Bayesian colloquy",
)
