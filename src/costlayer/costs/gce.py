"""gce: the generalised cross entropy, between cross entropy and the absolute error, for labels that may be wrong."""

from costlayer.pair import UNIT, Cost, Interval, Parameter
from costlayer.words import exp, expm1, log, product


def terms(v, y, tempered):
    log_v = log(v)
    power = exp(tempered * log_v)
    slope = -y * power / v
    return -product(y, expm1(tempered * log_v)) / tempered, slope, (tempered - 1.0) * slope / v


GCE = Cost(
    name="gce",
    summary="The generalised cross entropy, between cross_entropy (tempered → 0) and mae (tempered = 1): wrong labels "
    "pull less.",
    domain=UNIT,
    target=UNIT,
    formula="y*(1 - v**tempered)/tempered",
    derivative="-y*v**(tempered - 1)",
    terms=terms,
    natural="softmax+cross_entropy",
    rows_only=True,
    limits="At most 1/tempered, however wrong: the gradient dies as p^tempered where the truth is missed.",
    reference="Zhang and Sabuncu (2018), Generalized cross entropy loss for training deep neural networks with noisy "
    "labels",
    parameters={
        "tempered": Parameter(
            0.7, Interval(0.0, 1.0, low_closed=False), "From cross_entropy (0) to mae (1), 0.7 by default."
        )
    },
)
