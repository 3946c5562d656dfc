"""cloglog: the probability of at least one event, from the logarithm of how many are expected."""

from costlayer.pair import Activation, Interval
from costlayer.words import exp, expm1, log, log1p, minimum


def terms(z):
    u = exp(z)
    m = minimum(u, 1e4)  # from where on nothing is left of exp(−u)
    half = exp(-0.5 * m)
    gain = m * half * half
    return -expm1(-u), gain, gain * (1.0 - m)


def inverse(v):
    return log(-log1p(-v))


CLOGLOG = Activation(
    name="cloglog",
    summary="The score is the logarithm of a rate of events, and the prediction the probability of at least one.",
    range=Interval(0.0, 1.0, low_closed=False, high_closed=False),
    formula="1 - exp(-exp(z))",
    gain="exp(z - exp(z))",
    terms=terms,
    inverse=inverse,
    flat=(-5.0, 5.0),
    instead="cloglog+cross_entropy, whose gradient does not fade where it is wrong",
    listed=("cross_entropy",),
    limits="v → 0 as e^z as z → −∞, and v → 1 as z → ∞, where the gain falls as exp(z − e^z).",
    reference="Fisher (1922), On the mathematical foundations of theoretical statistics, section 12.3",
)
