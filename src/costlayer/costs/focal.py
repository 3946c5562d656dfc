"""focal: cross entropy that turns away from the examples it already gets right."""

from costlayer.pair import NON_NEGATIVE, UNIT, Cost, Parameter
from costlayer.words import exp, log, log1p, product


def terms(v, y, gamma):
    rest = 1.0 - v
    log_v = log(v)
    scale = exp(product(gamma, log1p(-v)))  # (1 − v)^γ, which is 1 at γ = 0 even where v is 1
    value = -product(y, product(scale, log_v))
    slope = y * scale * (gamma * log_v / rest - 1.0 / v)
    inner = gamma * (gamma - 1.0) * (log_v / rest) / rest - 2.0 * gamma / (v * rest) - 1.0 / (v * v)
    return value, slope, -y * scale * inner


FOCAL = Cost(
    name="focal",
    summary="Cross entropy, with each class's term scaled by (1 − v) to the power gamma: what is sure counts little.",
    domain=UNIT,
    target=UNIT,
    formula="-y*(1 - v)**gamma*ln(v)",
    derivative="y*(gamma*(1 - v)**(gamma - 1)*ln(v) - (1 - v)**gamma/v)",
    terms=terms,
    natural="softmax+focal",
    rows_only=True,
    limits="With gamma = 0 it is cross_entropy. On the wrong side it grows as that does.",
    reference="Lin et al. (2017), Focal loss for dense object detection",
    convex=False,
    steady=False,
    parameters={"gamma": Parameter(2.0, NON_NEGATIVE, "How much less the sure examples count, 2 by default.")},
)
