"""probit: a probability from one score, by the normal distribution."""

from costlayer.distributions import density, excess, root_two_pi
from costlayer.pair import Activation, Interval
from costlayer.words import absolute, exp, log, minimum, product, where


def terms(z):
    t = absolute(z)
    gain = density(t)
    tail = gain / (t + excess(t))
    return where(z >= 0.0, 1.0 - tail, tail), gain, product(gain, -z)


def nearer(t, depth):
    """A step of Newton's towards where −ln 2Φ(−t) is `depth`."""
    hazard = t + excess(t)
    return t - (0.5 * t * t + log(0.5 * root_two_pi() * hazard) - depth) / hazard


def inverse(v):
    depth = 0.0 - log(2.0 * minimum(v, 1.0 - v))
    t = exp(0.5 * log(2.0 * depth))  # never too small, and from there on each step of a convex function is shorter
    t = nearer(nearer(nearer(nearer(nearer(nearer(t, depth), depth), depth), depth), depth), depth)
    t = where(
        depth > 0.0, where(depth < 1e30, t, depth), depth
    )  # the middle is 0, and an end reached in the limit only
    return where(v < 0.5, -t, t)


PROBIT = Activation(
    name="probit",
    summary="The score is how many standard deviations of a normal distribution a probability is worth.",
    range=Interval(0.0, 1.0, low_closed=False, high_closed=False),
    formula="Phi(z)",
    gain="exp(-z**2/2)/(2*pi)**0.5",
    terms=terms,
    inverse=inverse,
    flat=(-5.0, 5.0),
    instead="probit+cross_entropy, whose gradient grows with the error",
    listed=("cross_entropy",),
    limits="v → 0 and v → 1 as z → ∓∞, where the gain falls as e^−z²/2.",
    reference="Bliss (1934), The method of probits",
)
