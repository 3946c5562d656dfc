"""tweedie: amounts that are often exactly 0, such as claims or rain."""

from costlayer.pair import NON_NEGATIVE, POSITIVE, Cost, Interval, Parameter
from costlayer.words import exp, log, product


def terms(v, y, power):
    a, b = 2.0 - power, power - 1.0
    log_v = log(v)
    up, down = exp(a * log_v), exp(-b * log_v)
    value = up / a + product(y, down) / b
    slope = down - product(y, down) / v
    return value, slope, (power * product(y, down) / v - b * down) / v


TWEEDIE = Cost(
    name="tweedie",
    summary="Amounts that are often exactly 0 and positive otherwise, of variance v to the power `power`.",
    domain=POSITIVE,
    target=NON_NEGATIVE,
    formula="v**(2 - power)/(2 - power) + y*v**(1 - power)/(power - 1)",
    derivative="v**(-power)*(v - y)",
    terms=terms,
    natural="exp+tweedie",
    listed=("softplus", "exp"),
    limits="A constant of y short of the negative log-likelihood at dispersion 1. Towards power = 1 it is poisson, "
    "towards 2 gamma.",
    reference="Jørgensen (1987), Exponential dispersion models",
    elicits_mean=True,
    convex=False,
    steady=False,
    steep=True,
    parameters={
        "power": Parameter(
            1.5,
            Interval(1.0, 2.0, low_closed=False, high_closed=False),
            "Between 1 (poisson) and 2 (gamma), 1.5 by default.",
        )
    },
)
